"""The worker's directory: who may use it, and what of it is cleared away."""

import fcntl
import math
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.artifacts import ArtifactStore
from worker.journal import Journal
from worker.watching import METERS

_LOCKED_FOR_S = 10.0  # a worker that is just stopping
_TRY_S = 0.1
_HASH_LENGTH = 64
_TRIM_EVERY_S = 60.0
TEMPORARY = "tmp"
_SERVING = "serving"  # scripts/compose_health.py looks for it
_PARTS = (
    "cache/parts/*",
    "personal/*/*/parts/*",
    "journals/*.part",
    "data/*/*.part",
    "shelf/*/*.part",
)
_LONGEST_DIRECTORY = 70  # bytes; a socket's path has at most 107, multiprocessing appends 32


@contextmanager
def owned(work_dir: Path) -> Iterator[None]:
    """Have the directory for this process alone. Raises ValueError when another one has it."""
    work_dir.mkdir(parents=True, exist_ok=True)
    with (work_dir / "lock").open("w", encoding="ascii") as lock:
        end = time.monotonic() + _LOCKED_FOR_S
        while not _locked(lock.fileno()):
            if time.monotonic() > end:
                raise ValueError(
                    f"another worker uses {work_dir}: stop it, or give this one another "
                    "TAPESTRY_WORK_DIR"
                )
            time.sleep(_TRY_S)
        yield


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def clear_parts(work_dir: Path) -> None:
    """Remove files that a killed worker was writing. The directory must be owned."""
    shutil.rmtree(work_dir / TEMPORARY, ignore_errors=True)
    for pattern in _PARTS:
        for part in work_dir.glob(pattern):
            part.unlink(missing_ok=True)


def keep_temporary_files(work_dir: Path) -> None:
    """Have this process's temporary files below the directory, so that `clear_parts` finds them.

    The socket of the process that forks is among them. Where its path would be too long for one,
    the directory goes by the name that Linux gives what is open; elsewhere all stays as it is.
    """
    directory = (work_dir / TEMPORARY).resolve()
    directory.mkdir(exist_ok=True)
    if len(os.fsencode(directory)) > _LONGEST_DIRECTORY:
        directory = Path(f"/proc/{os.getpid()}/fd/{os.open(directory, os.O_RDONLY)}")
    if directory.exists():
        tempfile.tempdir = str(directory)


def show_serving(work_dir: Path) -> None:
    """Say to the container's health check that this process serves; `clear_parts` takes it back."""
    (work_dir / TEMPORARY / _SERVING).touch()


class Trimming:
    """Keeps the cache of a worker's directory within its limit.

    Not at every call, for it looks at every file: the cache may be over the limit by what a minute
    brings.
    """

    def __init__(self, cache: ArtifactStore, most_bytes: int, work_dir: Path) -> None:
        self._cache = cache
        self._most_bytes = most_bytes
        self._work_dir = work_dir
        self._next = -math.inf

    def __call__(self) -> None:
        """Trim the cache, if that was not just done."""
        if time.monotonic() >= self._next:
            left = trim(self._cache, self._most_bytes, needed(self._work_dir))
            METERS.cache_bytes.set(left)
            self._next = time.monotonic() + _TRIM_EVERY_S


def trim(cache: ArtifactStore, most_bytes: int, needed: Collection[str]) -> int:
    """Delete the artifacts unused for longest until the rest takes at most `most_bytes`.

    Never what is needed. Returns the bytes that are left.
    """
    total = sum(n_bytes for _, n_bytes, _ in _artifacts(cache))
    if total <= most_bytes:  # as nearly always: nothing is kept in memory to find that
        return total
    for _, n_bytes, sha256 in sorted(_artifacts(cache)):
        if total <= most_bytes:
            break
        if sha256 not in needed:
            cache.remove(sha256)
            total -= n_bytes
    return total


def _artifacts(cache: ArtifactStore) -> Iterator[tuple[int, int, str]]:
    """When each was used last, its bytes and its name."""
    for directory in os.scandir(cache.root):
        for file in os.scandir(directory):
            if len(file.name) == _HASH_LENGTH:
                stat = file.stat()
                yield stat.st_mtime_ns, stat.st_size, file.name


def needed(work_dir: Path) -> set[str]:
    """The artifacts that journals still have to deliver."""
    entries = (Journal(path).read() for path in (work_dir / "journals").glob("*.json"))
    return {sha for e in entries if e is not None and e.result for sha in e.uploads.values()}
