"""A directory of immutable files named by the sha256 of their bytes.

The server keeps versions in one, each worker its cache, and the simulation both.
"""

import errno
import hashlib
import os
import re
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from shared.crash_points import crash_point

CHUNK_BYTES = 1 << 20
_NAME = re.compile(r"[0-9a-f]{64}")
_MOST_CHECKED = 10_000  # names kept in memory; what is forgotten is checked again
SHARDS = tuple(f"{n:02x}" for n in range(256))  # how names begin: a directory for each
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})  # a disk that refuses for want of space


class ArtifactError(Exception):
    """Bytes that are missing or are not what their name says."""


def digest(chunks: Iterable[bytes]) -> str:
    """The sha256 of the chunks, in hexadecimal."""
    sha = hashlib.sha256()
    for chunk in chunks:
        sha.update(chunk)
    return sha.hexdigest()


class CollectedError(ArtifactError):
    """An artifact was deleted between being kept and being referred to."""


class StoreAwayError(Exception):
    """The store does not answer, or does not let us in; nothing is known about its artifacts."""


class ReadOnlyError(OSError):
    """An fsync failed before: what the disk holds is unknown, so nothing more is written."""

    def __init__(self, root: Path) -> None:
        super().__init__(
            errno.EROFS, "an fsync failed: check the disk, then restart this process", str(root)
        )


class ArtifactStore:
    """Artifacts below one directory. Safe for any number of processes at once.

    After a failed fsync a durable store is read-only until its process starts again: the next
    fsync would succeed whether or not the bytes are there.

    A store that is not durable, such as a cache, may hold damaged files after a power cut;
    `missing` notices them, for it checks each file once.
    """

    def __init__(self, root: Path, *, durable: bool = True) -> None:
        self.root = root
        self._durable = durable
        self._checked: set[str] = set()
        self.read_only = False
        (root / "parts").mkdir(parents=True, exist_ok=True)

    def path(self, sha256: str) -> Path:
        """Where the artifact lies, or would lie."""
        return self.root / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Whether the artifact is here."""
        return self.path(sha256).is_file()

    def open_path(self, sha256: str) -> Path:
        """The file of an artifact that must be here. Raises ArtifactError."""
        path = self.path(sha256)
        if not path.is_file():
            raise ArtifactError(
                f"artifact {sha256} is not in {self.root}: restore it or fetch it again"
            )
        return path

    def new_part(self) -> Path:
        """A new empty file to write into before `keep`."""
        self.check_writable()
        path = self.root / "parts" / uuid.uuid4().hex
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        return path

    def check_writable(self) -> None:
        """Raises ReadOnlyError once an fsync has failed."""
        if self.read_only:
            raise ReadOnlyError(self.root)

    def write(self, chunks: Iterable[bytes], expected: str | None = None) -> str:
        """Keep the bytes of `chunks`; returns their sha256, which must be the one expected.

        Nothing stays behind on an error. Raises ArtifactError.
        """
        with self._part() as part:
            found = written(part, chunks)
            check_name(found, expected)
            self.keep(part, found)
        return found

    @contextmanager
    def _part(self) -> Iterator[Path]:
        """A new part, which is removed on an error."""
        part = self.new_part()
        try:
            yield part
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def keep(self, part: Path, sha256: str) -> None:
        """Make a written part durable under its hash; the caller vouches for the hash.

        A failed fsync is never retried: the part is dropped and OSError raised.
        """
        target = self.path(sha256)
        try:
            self.check_writable()
            target.parent.mkdir(exist_ok=True)
            self._sync(part)
            crash_point("store.renaming")
            part.rename(target)
            crash_point("store.renamed")
            self._sync(target.parent)
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def _sync(self, path: Path) -> None:
        """Make a file or a directory durable, in a durable store."""
        if not self._durable:
            return
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            self.read_only |= error.errno not in FULL
            raise
        finally:
            os.close(handle)

    # What is asked of a store that may lie elsewhere; here all of it is in the directory.

    def check_answers(self) -> None:
        """Raises StoreAwayError where it does not."""

    def trim(self) -> None:
        """Delete copies of artifacts that take too many bytes; a directory has none."""

    def bring(self, wanted: Iterable[str]) -> None:
        """Have artifacts in the directory, to be read at their paths. Raises ArtifactError."""
        for sha256 in wanted:
            self.open_path(sha256)

    def hand_over(self, sha256: str) -> None:
        """Keep what another process wrote into the directory under its hash."""

    def lacking(self, wanted: Iterable[str]) -> list[str]:
        """Those that are not here."""
        return [sha256 for sha256 in wanted if not self.has(sha256)]

    def size(self, sha256: str) -> int | None:
        """Bytes of an artifact; None where it is not here."""
        try:
            return self.path(sha256).stat().st_size
        except FileNotFoundError:
            return None

    def place(self, sha256: str) -> str:
        """Where an operator finds the artifact."""
        return str(self.path(sha256))

    def read(self, sha256: str) -> Iterator[bytes]:
        """Its bytes as they are. Raises FileNotFoundError, OSError."""
        with self.path(sha256).open("rb") as file:
            while piece := file.read(CHUNK_BYTES):
                yield piece

    def older(self, shard: str, age: timedelta) -> list[str]:
        """The artifacts of a shard, one of SHARDS, that were last kept longer ago than that."""
        return [p.name for p in older_files(self.root / shard, age) if is_name(p.name)]

    def touch(self, used: Iterable[str]) -> None:
        """Note that artifacts that are here were used now."""
        for sha256 in used:
            os.utime(self.path(sha256))

    def remove(self, sha256: str) -> None:
        """Delete an artifact that nobody needs any more."""
        self.path(sha256).unlink(missing_ok=True)
        self._checked.discard(sha256)

    def missing(self, wanted: Iterable[str]) -> list[str]:
        """Those that are not here whole; in a store that is not durable each file is checked once.

        A damaged file is removed.
        """
        return [sha256 for sha256 in dict.fromkeys(wanted) if not self._has_whole(sha256)]

    def doubt(self) -> None:
        """Have each file checked again before it is used, in a store that is not durable."""
        self._checked.clear()

    def _has_whole(self, sha256: str) -> bool:
        path = self.path(sha256)
        if not self._durable and sha256 not in self._checked and path.is_file():
            if not _is_whole(path):
                path.unlink(missing_ok=True)
            if len(self._checked) >= _MOST_CHECKED:
                self._checked.clear()
            self._checked.add(sha256)
        return path.is_file()


def _is_whole(path: Path) -> bool:
    """Whether the file is what its name says, and there."""
    try:
        return file_digest(path) == path.name
    except FileNotFoundError:
        return False


def is_name(text: str) -> bool:
    """Whether it is a sha256 as artifacts are named."""
    return _NAME.fullmatch(text) is not None


def older_files(directory: Path, age: timedelta) -> Iterator[Path]:
    """Files of the directory that were last written to longer ago."""
    limit = time.time() - age.total_seconds()
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        try:
            old = path.stat().st_mtime < limit
        except FileNotFoundError:
            continue
        if old and path.is_file():
            yield path


def written(part: Path, chunks: Iterable[bytes]) -> str:
    """Write the chunks; their sha256."""
    sha = hashlib.sha256()
    with part.open("wb") as file:
        for chunk in chunks:
            sha.update(chunk)
            file.write(chunk)
    return sha.hexdigest()


def check_name(found: str, expected: str | None) -> None:
    """Raises ArtifactError where bytes have another sha256 than was expected."""
    if expected not in {None, found}:
        raise ArtifactError(f"bytes of {expected} arrived as {found}: try again")


def file_digest(path: Path) -> str:
    """The sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
