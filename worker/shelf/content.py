"""A client's personal states as one stream: a header that says what is in it, then the files.

The files are those of the worker's disk: manifests and canonical component files, each named by
its hash. Nothing in it is run, unpacked by path, or unpickled.
"""

import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Annotated
from uuid import UUID

from pydantic import Field, NonNegativeInt, ValidationError

from shared.artifacts import ArtifactError
from shared.messages import Message
from shared.spec import Name, Sha256
from shared.transport import Stream, contents
from worker.personal_files import PersonalFiles, StateError
from worker.shelf.errors import ShelfError

_LENGTH = struct.Struct(">I")
_LONGEST_HEADER = 16 << 20


class PackedFile(Message):
    """One file of the stream."""

    sha256: Sha256
    n_bytes: NonNegativeInt


class Contents(Message):
    """The header: whose states they are, the newest first, and the files in the stream's order."""

    job: UUID
    client: Name
    states: Annotated[tuple[Sha256, ...], Field(min_length=1)]
    files: tuple[PackedFile, ...]


def about(job: UUID, client: str) -> bytes:
    """The words for a job and a client that an encryption is bound to."""
    return f"tapestry shelf 1\n{job}\n{client}\n".encode()


def contents_of(files: PersonalFiles, job: UUID, client: str, states: Sequence[str]) -> Contents:
    """What is to be packed, each file compared with its hash.

    Raises StateError where the newest state is not whole; older ones are left out then.
    """
    there = {states[0]: _files(files, states[0])}
    for state in states[1:]:
        with suppress(StateError):
            there[state] = _files(files, state)
    named = {each.sha256: each for found in there.values() for each in found}
    return Contents(job=job, client=client, states=tuple(there), files=tuple(named.values()))


def _files(files: PersonalFiles, state: str) -> list[PackedFile]:
    """The files of a state, its manifest last. Raises StateError."""
    named = dict.fromkeys([*files.parts(state), state])
    return [PackedFile(sha256=each, n_bytes=files.whole(each).stat().st_size) for each in named]


def packed(files: PersonalFiles, found: Contents) -> Iterator[bytes]:
    """The stream of these contents."""
    header = found.model_dump_json().encode()
    yield _LENGTH.pack(len(header)) + header
    yield from contents([files.store.path(each.sha256) for each in found.files], 0)


def unpack(chunks: Iterator[bytes], job: UUID, client: str, into: PersonalFiles) -> Contents:
    """Write the files of a stream, each compared with its hash, and look whether states are whole.

    Raises ShelfError; then `into` may hold some of the files.
    """
    stream = Stream(chunks)
    found = _header(stream)
    if (found.job, found.client) != (job, client):
        raise ShelfError(
            f"the model is of job {found.job} and client {found.client}, not of job {job} and "
            f"client {client}: have the operator look how it came there"
        )
    try:
        for each in found.files:
            into.store.write(stream.take(each.n_bytes), each.sha256)
    except ArtifactError as error:
        raise _no_model() from error
    if next(stream.take(1), b"") or not all(_whole(into, state) for state in found.states):
        raise _no_model()
    return found


def _header(stream: Stream) -> Contents:
    try:
        (length,) = _LENGTH.unpack(b"".join(stream.take(_LENGTH.size)))
        if length <= _LONGEST_HEADER:
            return Contents.model_validate_json(b"".join(stream.take(length)))
    except (struct.error, ValidationError) as error:
        raise _no_model() from error
    raise _no_model()


def _whole(files: PersonalFiles, state: str) -> bool:
    try:
        return files.holds(state)
    except StateError:
        return False


def _no_model() -> ShelfError:
    return ShelfError(
        "what lies on the shelf is no personal model of this version, or is damaged: have the "
        "operator restore it from a backup, or put it there again"
    )
