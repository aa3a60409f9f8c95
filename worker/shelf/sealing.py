"""A model on the shelf as one file: a line that names the form, then the states in that form."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from shared.artifacts import CHUNK_BYTES
from shared.shelf import ShelfPut
from shared.shelf_spec import ShelfForm
from worker.personal_files import PersonalFiles
from worker.shelf.content import Contents, about, contents_of, packed, unpack
from worker.shelf.encrypting import decrypted, encrypted
from worker.shelf.errors import ShelfError
from worker.shelf.keys import ShelfKey

_LINES = {form: f"tapestry shelf 1 {form}\n".encode() for form in ShelfForm}
_LONGEST_LINE = max(map(len, _LINES.values()))


@dataclass(frozen=True)
class Owner:
    """Whose model it is, and how it lies on the shelf."""

    job: UUID
    client: str
    key_file: Path

    @property
    def key(self) -> ShelfKey:
        """The client's shelf key. Raises ShelfError."""
        return ShelfKey.read(self.key_file)


def seal(
    owner: Owner, form: ShelfForm, files: PersonalFiles, states: Sequence[str], path: Path
) -> ShelfPut:
    """Write the file, durably, and say what is to be announced.

    An encrypted one differs each time. Raises StateError, ShelfError, OSError.
    """
    found = contents_of(files, owner.job, owner.client, states)
    sha, n_bytes = hashlib.sha256(), 0
    with path.open("wb") as file:
        for chunk in _sealed(owner, form, files, found):
            file.write(chunk)
            sha.update(chunk)
            n_bytes += len(chunk)
        file.flush()
        os.fsync(file.fileno())
    return ShelfPut(form=form, sha256=sha.hexdigest(), n_bytes=n_bytes, state_digest=states[0])


def _sealed(
    owner: Owner, form: ShelfForm, files: PersonalFiles, found: Contents
) -> Iterator[bytes]:
    yield _LINES[form]
    if form is ShelfForm.ENCRYPTED:
        yield from encrypted(packed(files, found), owner.key, about(owner.job, owner.client))
    else:
        yield from packed(files, found)


def unseal(owner: Owner, path: Path, into: PersonalFiles) -> Contents:
    """Write the states that are in the file. Raises ShelfError; then `into` may hold some files."""
    with path.open("rb") as file:
        line = file.readline(_LONGEST_LINE)
        if line == _LINES[ShelfForm.ENCRYPTED]:
            chunks = decrypted(file, owner.key, about(owner.job, owner.client))
        elif line == _LINES[ShelfForm.PLAIN]:
            chunks = iter(lambda: file.read(CHUNK_BYTES), b"")
        else:
            raise ShelfError(
                "what lies on the shelf is no personal model of this version: bring this machine "
                "to the version that put it there, or put it there again"
            )
        return unpack(chunks, owner.job, owner.client, into)
