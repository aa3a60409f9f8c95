"""What an upload must pass before anything is recorded, in constant memory.

A header is not parsed: it must be, byte for byte, what the catalogue makes it.
"""

import hashlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from server.aggregation.norms import Change
from shared.messages import ComponentSpec
from shared.problem_codes import Code
from shared.tensor_file import component_layout

PIECE_BYTES = 1 << 20
OTHER_VERSION = "or bring a worker of another version to the coordinator's"


class RefusedError(ValueError):
    """The bytes are not what was announced, or not what the catalogue allows."""

    def __init__(self, code: Code, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def validate(
    file: BinaryIO, name: str, spec: ComponentSpec, sha256: str, change: Change | None = None
) -> None:
    """Check the next component of a stream: header, finiteness, length, hash. Raises RefusedError.

    Its values are added to `change`.
    """
    layout = component_layout(spec)
    header = file.read(len(layout.header))
    if header != layout.header:
        raise RefusedError(
            Code.WRONG_HEADER,
            f"The header of {name} is not the catalogue's: send exactly its tensors in the "
            f"canonical form, {OTHER_VERSION}.",
        )
    sha, missing = hashlib.sha256(header), layout.n_bytes - len(header)
    for piece in pieces(file, missing):
        sha.update(piece)
        missing -= len(piece)
        values = np.frombuffer(piece, dtype="<f4", count=len(piece) // 4)
        if not np.isfinite(values).all():
            raise RefusedError(
                Code.NOT_FINITE,
                f"A value of {name} is NaN or infinite: do not send a model that has diverged.",
            )
        if change is not None:
            change.add(values)
    if missing:
        raise RefusedError(
            Code.TOO_SHORT, f"{missing} bytes of {name} are missing at the end: upload it again."
        )
    if sha.hexdigest() != sha256:
        raise RefusedError(
            Code.WRONG_HASH,
            f"The bytes of {name} have sha256 {sha.hexdigest()}: upload them again.",
        )


def pieces(file: BinaryIO, n_bytes: int) -> Iterator[bytes]:
    """The next `n_bytes` of a file."""
    while n_bytes and (piece := file.read(min(n_bytes, PIECE_BYTES))):
        n_bytes -= len(piece)
        yield piece
