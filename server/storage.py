"""Space for uploads, and the files that they grow in."""

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from server.errors import ProblemError, unavailable
from shared.artifacts import FULL, ArtifactStore, ReadOnlyError
from shared.problem_codes import Code

_log = logging.getLogger(__name__)


def part_path(store: ArtifactStore, upload_id: UUID) -> Path:
    """The file that the upload grows in."""
    return store.root / "parts" / upload_id.hex


def part_size(store: ArtifactStore, upload_id: UUID) -> int:
    """Bytes of the upload that are here."""
    try:
        return part_path(store, upload_id).stat().st_size
    except FileNotFoundError:
        return 0


def check_space(store: ArtifactStore, wanted: int, reserved: int, spare: int) -> None:
    """Raises ProblemError (507) when `wanted` bytes do not fit beside what is reserved."""
    free = shutil.disk_usage(store.root).free
    if wanted + reserved + spare > free:
        raise no_space()


def no_space() -> ProblemError:
    """507 with Retry-After."""
    return ProblemError(
        507,
        Code.NO_SPACE,
        "The server's disk has no space for this upload: free some, then try again.",
        headers={"Retry-After": "30"},
    )


def check_writable(store: ArtifactStore) -> None:
    """Raises ProblemError (507) once an fsync of the store has failed."""
    if store.read_only:
        raise read_only()


def read_only() -> ProblemError:
    """507 with Retry-After, until somebody has looked at the disk."""
    return ProblemError(
        507,
        Code.STORE_READ_ONLY,
        "The server's disk failed and nothing more is written to it: check it, then restart the "
        "server.",
        headers={"Retry-After": "30"},
    )


def disk_trouble(error: OSError) -> ProblemError:
    """What to answer when the disk refuses: 507 when it is full or read-only, else 503; logged."""
    if error.errno in FULL:
        return no_space()
    if isinstance(error, ReadOnlyError):
        return read_only()
    _log.error("the artifacts' disk failed: %s", error)
    return unavailable("The server's disk failed: look at its log, then send the bytes again.")


@contextmanager
def exclusive_part(path: Path) -> Iterator[int]:
    """A descriptor for appending to the part, held by one request at a time.

    Raises ProblemError (409) when another request writes to it, (503, 507) when the disk refuses.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise disk_trouble(error) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            detail = "Another request writes to this upload: wait for it, then ask for the offset."
            raise ProblemError(409, Code.UPLOAD_BUSY, detail) from error
        yield handle
    finally:
        os.close(handle)


def append(handle: int, data: bytes) -> None:
    """Write all of `data`. Raises ProblemError (507) when the disk is full."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(handle, view) :]
    except OSError as error:
        raise disk_trouble(error) from error
