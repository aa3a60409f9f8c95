"""What lies below a folder, through links to other folders as well."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

Told = Callable[[OSError], None]
_Id = tuple[int, int]


def walk(path: Path, told: Told | None = None) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Each folder, the folders in it and its other files, as `os.walk`, from the top.

    Names that are taken out of the second list are not gone into. `told` hears of each folder that
    cannot be read and of each that lies in itself by a link; neither is gone into.
    """
    lines: dict[Path, frozenset[_Id]] = {}  # of each folder what it is, and those above it
    for directory, inner, names in os.walk(path, onerror=told, followlinks=True):
        here = Path(directory)
        try:
            lines[here] = _line(here, lines.get(here.parent, frozenset()))
        except OSError as error:
            inner.clear()
            if told:
                told(error)
        else:
            yield here, inner, names


def _line(folder: Path, above: frozenset[_Id]) -> frozenset[_Id]:
    """Raises OSError where the folder is one of those above it."""
    found = folder.stat()
    itself = (found.st_dev, found.st_ino)
    if itself in above:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(folder))
    return above | {itself}
