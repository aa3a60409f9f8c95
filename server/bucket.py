"""Artifacts in a bucket that any number of hosts share, with copies of some on each host's disk.

An object gets its name, which is its sha256, when it is whole: what is written is hashed into a
part on the disk first, and a put or a multipart upload shows nothing before its end. What is read
is hashed on its way to the disk. So the bucket has the guarantees of a directory, and uploads,
averages and answers go on with files.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import S3Store

if TYPE_CHECKING:
    from obstore.store import ClientConfig

from shared.artifacts import (
    SHARDS,
    ArtifactError,
    ArtifactStore,
    StoreAwayError,
    check_name,
    is_name,
    written,
)
from shared.crash_points import crash_point

T = TypeVar("T")

_PIECE_BYTES = 4 << 20
_AT_ONCE = 8  # requests
# Well below Postgres's limit for a transaction that waits, in which some of the requests are made.
_CLIENT: "ClientConfig" = {"connect_timeout": "3s", "read_timeout": "10s", "timeout": "60s"}
_PATIENCE = timedelta(seconds=8)
_IN_USE_S = 600.0  # a copy that was used since is not deleted: an answer may be under way


class BucketStore(ArtifactStore):
    """Artifacts as `PREFIX/ab/abcd...` of an S3-compatible bucket, and copies below `root`.

    Safe for any number of processes and hosts at once. Where the bucket is and who we are comes
    from the environment, by the names that AWS gives: AWS_ENDPOINT_URL, AWS_REGION,
    AWS_ACCESS_KEY_ID and so on. Every method may raise StoreAwayError.
    """

    def __init__(self, url: str, root: Path, most_bytes: int) -> None:
        """`url` is s3://BUCKET or s3://BUCKET/PREFIX; copies take `most_bytes` on the disk."""
        super().__init__(root, durable=False)  # what a disk loses is in the bucket
        self._url = url.rstrip("/")
        self._most_bytes = most_bytes
        bucket, _, prefix = self._url.removeprefix("s3://").partition("/")
        self._bucket = S3Store(
            bucket,
            prefix=prefix or None,
            client_options={**_CLIENT, "allow_http": _is_plain()},
            retry_config={"max_retries": 4, "retry_timeout": _PATIENCE},
        )
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="bucket")

    def check_answers(self) -> None:
        """Raises StoreAwayError where the bucket does not answer, or is not there."""
        with self._answering():
            for _ in obstore.list(self._bucket, prefix="nothing", chunk_size=1):
                break

    def has(self, sha256: str) -> bool:
        """Whether the artifact is in the bucket."""
        return self.size(sha256) is not None

    def lacking(self, wanted: Iterable[str]) -> list[str]:
        """Those that are not in the bucket."""
        return [name for name, here in self._each(self.has, wanted) if not here]

    def size(self, sha256: str) -> int | None:
        """Bytes of an artifact; None where it is not in the bucket."""
        try:
            with self._answering():
                return obstore.head(self._bucket, _key(sha256))["size"]
        except FileNotFoundError:
            return None

    def open_path(self, sha256: str) -> Path:
        """A copy of an artifact that must be in the bucket. Raises ArtifactError."""
        self.bring([sha256])
        return self.path(sha256)

    def bring(self, wanted: Iterable[str]) -> None:
        """Have copies of artifacts on this disk. Raises ArtifactError, OSError.

        A copy that this process has not seen yet is hashed first.
        """
        names = set(wanted)
        for name in names:
            with suppress(FileNotFoundError):
                self.touch([name])  # so that `trim` leaves it
        for _ in self._each(self._copy, self.missing(names)):
            pass

    def keep(self, part: Path, sha256: str) -> None:
        """Put a written part into the bucket under its hash, and keep it as a copy."""
        self._put(part, sha256)
        super().keep(part, sha256)

    def hand_over(self, sha256: str) -> None:
        """Put what another process wrote below `root` under its hash into the bucket."""
        self._put(self.path(sha256), sha256)

    def remove(self, sha256: str) -> None:
        """Delete an artifact that nobody needs any more."""
        with suppress(FileNotFoundError), self._answering():
            obstore.delete(self._bucket, _key(sha256))
        super().remove(sha256)

    def place(self, sha256: str) -> str:
        """Where an operator finds the artifact."""
        return f"{self._url}/{_key(sha256)}"

    def read(self, sha256: str) -> Iterator[bytes]:
        """Its bytes as they are in the bucket. Raises FileNotFoundError."""
        n_bytes = self.size(sha256)
        if n_bytes is None:
            raise FileNotFoundError(self.place(sha256))
        for start in range(0, n_bytes, _PIECE_BYTES):
            length = min(_PIECE_BYTES, n_bytes - start)
            with self._answering():
                piece = obstore.get_range(self._bucket, _key(sha256), start=start, length=length)
            yield bytes(piece)

    def older(self, shard: str, age: timedelta) -> list[str]:
        """The artifacts of a shard that were last put there longer ago than that."""
        limit = datetime.now(UTC) - age
        with self._answering():
            objects = [each for page in obstore.list(self._bucket, prefix=shard) for each in page]
        found = ((each["path"].rpartition("/")[2], each["last_modified"]) for each in objects)
        return sorted(name for name, at in found if at < limit and is_name(name))

    def trim(self) -> None:
        """Delete the copies that were not used for longest, where they take too many bytes.

        The others are hashed again before they are used next: disks forget.
        """
        self.doubt()
        copies = sorted(self._copies(), reverse=True)
        unused_since = time.time() - _IN_USE_S
        total = 0
        for used_at, n_bytes, path in copies:
            total += n_bytes
            if total > self._most_bytes and used_at < unused_since:
                with suppress(FileNotFoundError):
                    if path.stat().st_mtime == used_at:
                        path.unlink()

    def _copies(self) -> Iterator[tuple[float, int, Path]]:
        for shard in SHARDS:
            for path in (self.root / shard).glob("*"):
                try:
                    stat = path.stat()
                except FileNotFoundError:
                    continue
                yield stat.st_mtime, stat.st_size, path

    def _copy(self, sha256: str) -> None:
        """Copy an artifact to this disk. Raises ArtifactError where it is missing or damaged."""
        try:
            with self._part() as part:
                found = written(part, self.read(sha256))
                check_name(found, sha256)
                super().keep(part, sha256)
        except FileNotFoundError as error:
            raise ArtifactError(f"{self.place(sha256)} is missing: restore it") from error

    def _put(self, path: Path, sha256: str) -> None:
        crash_point("store.putting")
        with self._answering():
            obstore.put(self._bucket, _key(sha256), path, max_concurrency=2)
        crash_point("store.put")

    def _each(self, work: Callable[[str], T], names: Iterable[str]) -> Iterator[tuple[str, T]]:
        """The work for each of the names, some at once."""
        wanted = list(dict.fromkeys(names))
        return zip(wanted, self._threads.map(work, wanted), strict=True)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Raises FileNotFoundError where there is no such object, StoreAwayError for the rest."""
        try:
            yield
        except (NotFoundError, FileNotFoundError) as error:
            raise FileNotFoundError(str(error)) from error
        except (BaseError, OSError) as error:
            said = " ".join(str(error).partition("Debug source")[0].split())
            raise StoreAwayError(f"{self._url} does not answer, or not to us: {said}") from error


def _is_plain() -> bool:
    """Whether the operator has named an endpoint without TLS."""
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    return any(os.environ.get(name, "").startswith("http://") for name in names)


def _key(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256}"
