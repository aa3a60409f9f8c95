"""What an upload must pass before anything is recorded, in constant memory.

The header is not parsed: it must be, byte for byte, what the catalogue makes it.
"""

import hashlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from shared.messages import ComponentSpec
from shared.tensor_file import Layout, component_layout

PIECE_BYTES = 4 << 20


class RefusedError(ValueError):
    """The bytes are not what was announced, or not what the catalogue allows."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def validate(path: Path, spec: ComponentSpec, sha256: str) -> None:
    """Check length, header, finiteness and hash of a whole component file. Raises RefusedError."""
    layout = component_layout(spec)
    n_bytes = path.stat().st_size
    if n_bytes != layout.n_bytes:
        raise RefusedError(
            "wrong_length", f"The upload has {n_bytes} bytes, the component {layout.n_bytes}."
        )
    with path.open("rb") as file:
        found = _read(file, layout)
    if found != sha256:
        raise RefusedError("wrong_hash", f"The bytes have sha256 {found}: upload them again.")


def _read(file: BinaryIO, layout: Layout) -> str:
    """The sha256 of the whole file, its header and values checked on the way."""
    header = file.read(len(layout.header))
    if header != layout.header:
        raise RefusedError(
            "wrong_header",
            "The header is not the catalogue's: send exactly its tensors, in the canonical form.",
        )
    sha = hashlib.sha256(header)
    while piece := file.read(PIECE_BYTES):
        sha.update(piece)
        if not np.isfinite(np.frombuffer(piece, dtype="<f4")).all():
            raise RefusedError(
                "not_finite", "A value is NaN or infinite: do not send a model that has diverged."
            )
    return sha.hexdigest()
