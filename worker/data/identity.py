"""Whether a task's data are what they were: by their content, and cheaply by their files.

A digest covers what trains: texts, labels, targets and domains as they are read, and the pixels of
images. The files' sizes and times only say when it is worth to look again.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from shared.components import Modality
from worker.data.folders import walk
from worker.data.rows import Row

ROWS = "rows"  # what a digest calls all but the modalities: labels, targets, domains
Stats = Mapping[Path, tuple[int, int, int] | None]  # size, time of change, of its entry; ns


def digests(
    rows: Sequence[Row], images: Sequence[bytes], modalities: Iterable[Modality]
) -> dict[str, str]:
    """Of a split: of each modality that the task reads, and of the rest of its rows, in order.

    images: for each row what makes its pixels the same.
    """
    by_part: dict[str, Iterable[bytes]] = {
        ROWS: (_line(row.domain, row.label, row.target, *row.others) for row in rows),
        Modality.IMAGE: images,
        Modality.TEXT: (_line(row.text) for row in rows),
    }
    return {part: _digest(by_part[part]) for part in (ROWS, *map(str, modalities))}


def stats(paths: Iterable[Path]) -> Stats:
    """What the file system says about files; None for one that is not there."""
    return {path: _stat(path) for path in paths}


def files_below(path: Path) -> list[Path]:
    """A source's own files: itself, or all below it."""
    if not path.is_dir():
        return [path]
    return [directory / name for directory, _, names in walk(path) for name in sorted(names)]


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _line(*texts: str) -> bytes:
    return json.dumps(texts).encode()


def _digest(lines: Iterable[bytes]) -> str:
    """Of all lines, each by its own digest: none can run into the next."""
    whole = hashlib.sha256()
    for line in lines:
        whole.update(hashlib.sha256(line).digest())
    return whole.hexdigest()
