"""A directory that is written whole or not at all."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class TargetError(Exception):
    """The directory cannot be made there; the text is one sentence with the remedy."""


def check_target(target: Path) -> None:
    """Raises TargetError where no directory can be made, or one is that holds something."""
    if target.is_dir() and not any(target.iterdir()):
        return
    if target.exists() or target.is_symlink():
        raise TargetError(f"{target} is there and not empty: choose another --out, or remove it")
    if not target.parent.is_dir():
        raise TargetError(f"{target.parent} is no directory: make it, or choose another --out")


def beside(target: Path) -> Path:
    """Where a directory is written before it is complete."""
    target = target.absolute()
    return target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")


@contextmanager
def whole(part: Path, target: Path) -> Iterator[Path]:
    """A new directory `part` that becomes the target when the block ends well.

    Nothing of it stays behind otherwise. Raises OSError.
    """
    part.mkdir(mode=0o700)
    try:
        yield part
        for path in (*(each for each in part.rglob("*")), part):
            _sync(path)
        part.rename(target.absolute())
        _sync(target.absolute().parent)
    except BaseException:
        drop(part)
        raise


def drop(part: Path) -> None:
    """Remove what is not complete."""
    shutil.rmtree(part, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
