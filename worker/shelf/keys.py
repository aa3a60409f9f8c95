"""A client's shelf key: made once on its own machine, in a file of its own, and never sent."""

import hashlib
import logging
import os
import re
import secrets
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from worker.durable import sync_directory
from worker.shelf.errors import ShelfKeyError

log = logging.getLogger("tapestry.worker")

ID_BYTES = 8
_LINE = re.compile(rb"tapestry-shelf-key:([0-9a-f]{64})\s*")
_LONGEST = 200


@dataclass(frozen=True)
class ShelfKey:
    """256 random bits, and where they lie."""

    secret: bytes = field(repr=False)
    path: Path

    @property
    def id(self) -> bytes:
        """By what it is known; nothing of the key can be learnt from it."""
        return hashlib.blake2b(
            key=self.secret, digest_size=ID_BYTES, person=b"tapestry shelf"
        ).digest()

    @classmethod
    def read(cls, path: Path) -> "ShelfKey":
        """The key in a file. Raises ShelfKeyError."""
        try:
            with path.open("rb") as file:
                found = _LINE.fullmatch(file.read(_LONGEST))
        except OSError as error:
            raise ShelfKeyError(
                f"the shelf key {path} cannot be read ({error.strerror}): name its file, or your "
                "copy of it, by --shelf-key; without it nobody can open the model"
            ) from error
        if found is None:
            raise ShelfKeyError(
                f"{path} holds no shelf key: name the file whose line begins with "
                "tapestry-shelf-key"
            )
        return cls(bytes.fromhex(found[1].decode()), path)

    @classmethod
    def ensure(cls, path: Path) -> None:
        """Make the key where there is none yet. Raises OSError."""
        if not path.exists():
            made = cls.make(path)
            log.warning(
                "the shelf key %s is made in %s: keep a copy elsewhere, for without it nobody can "
                "open the client's models again",
                made.id.hex(),
                path,
            )

    @classmethod
    def make(cls, path: Path) -> "ShelfKey":
        """A new key in a new file that its owner alone can read.

        Raises FileExistsError where there is one already, OSError where none can be made.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
        secret = secrets.token_bytes(32)
        handle = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(f"tapestry-shelf-key:{secret.hex()}\n".encode())
                file.flush()
                os.fsync(file.fileno())
            os.link(part, path)  # unlike a rename it takes nobody's place
        finally:
            part.unlink()
        sync_directory(path.parent)
        return cls(secret, path)
