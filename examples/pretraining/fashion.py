"""Fashion-MNIST as Debian's package `dataset-fashion-mnist` has it, without installing it (MIT)."""

import gzip
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Literal

import torch
from packages import PrepareError
from torch import Tensor

CLASSES = (
    "t-shirt",
    "trousers",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
_PACKAGE = "dataset-fashion-mnist"
_SHA256 = "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0"
_FILE = f"{_PACKAGE}.deb"
_INSIDE = Path("usr/share/datasets/fashion-mnist")
_SIDE = 28  # pixels
_TIMEOUT_S = 600


def obtain(folder: Path) -> Path:
    """Have the package in `folder`, checked; returns where its files lie. Raises PrepareError."""
    folder = folder.resolve()
    unpacked = folder / _PACKAGE
    if not unpacked.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as temporary:
            found = _file(folder, Path(temporary))
            _run(["dpkg", "-x", str(found), "out"], Path(temporary))
            try:
                Path(temporary, "out").rename(unpacked)
            except OSError:
                if not unpacked.is_dir():  # else somebody was faster: those files are as good
                    raise
    return unpacked / _INSIDE


def _file(folder: Path, temporary: Path) -> Path:
    """The package's file: the one that was put into `folder`, or a download."""
    found = folder / _FILE
    if not found.is_file():
        _run(["apt-get", "download", _PACKAGE], temporary)
        found = next(temporary.glob("*.deb")).rename(temporary / _FILE)
    if hashlib.sha256(found.read_bytes()).hexdigest() != _SHA256:
        raise PrepareError(f"{found.name} has other bytes than the pinned ones; look at its source")
    return found


def _run(command: list[str], folder: Path) -> None:
    if shutil.which(command[0]) is None:
        raise PrepareError(
            f"Fashion-MNIST comes in a Debian package and there is no {command[0]}: put the file "
            f"as {_FILE} beside the other packages on a machine that has it"
        )
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise PrepareError(f"{' '.join(command[:2])} failed ({last}); look at its sources")


def read(files: Path, part: Literal["train", "t10k"]) -> tuple[Tensor, Tensor]:
    """Grey images (N, 28, 28) uint8, and labels (N,)."""
    pixels = _bytes(files / f"{part}-images-idx3-ubyte.gz", 16)
    labels = _bytes(files / f"{part}-labels-idx1-ubyte.gz", 8)
    return pixels.view(-1, _SIDE, _SIDE), labels.long()


def _bytes(path: Path, header: int) -> Tensor:
    return torch.frombuffer(
        bytearray(gzip.decompress(path.read_bytes())[header:]), dtype=torch.uint8
    )
