"""Small files that are either the old ones or the new ones, also after a crash."""

import os
from pathlib import Path


def replace_file(path: Path, content: str) -> None:
    """Write a file whole beside the old one, and put it in its place, durably."""
    put_file(path, content)
    sync_directory(path.parent)


def put_file(path: Path, content: str) -> None:
    """The same, but for the directory, which the caller syncs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f"{path.suffix}.part")
    with part.open("wb") as file:
        file.write(content.encode())
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)


def sync_directory(path: Path) -> None:
    """Have the names in a directory on the disk."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
