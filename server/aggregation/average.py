"""The weighted mean of one component over its contributors, in constant memory.

All files have the same canonical layout (shared.tensor_file): after the header a component is one
run of float32 values. It is averaged piece by piece: whatever the number of contributors and the
size of the component, memory holds one piece of it in float64 and one contributor's in float32.
The sum runs in client order, so that the same contributions give the same bits. What is averaged is
hashed in the same pass, so that a damaged file stops the average instead of entering it.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from shared.artifacts import ArtifactError, ArtifactStore
from shared.messages import ComponentSpec
from shared.tensor_file import Layout, component_layout

PIECE_VALUES = 1 << 18  # 1 MiB of float32


@dataclass(frozen=True, slots=True)
class Contribution:
    """One client's tensors of a component, and how many samples trained them."""

    client: str
    sha256: str
    weight: float


def aggregate(
    contributions: Sequence[Contribution], spec: ComponentSpec, store: ArtifactStore
) -> str:
    """Keep sum(w_c x_c) / sum(w_c) over the contributors c in `store`; returns its sha256.

    Accumulates in float64, rounds once to float32: a mean of finite values is finite. Raises
    ValueError without contributors or with a weight that is not positive, ArtifactError where a
    file is missing, has another layout or is damaged: then nothing is kept.
    """
    ordered = sorted(contributions, key=lambda c: c.client)
    if not ordered or any(c.weight <= 0 for c in ordered):
        raise ValueError("an average needs contributors, each with a positive weight")
    return store.write(_mean(ordered, component_layout(spec), store))


def _mean(
    contributions: Sequence[Contribution], layout: Layout, store: ArtifactStore
) -> Iterator[bytes]:
    """The bytes of the mean's file."""
    total = sum(c.weight for c in contributions)
    yield layout.header
    with ExitStack() as stack:
        sources = [
            _Source(c, stack.enter_context(open_component(store, c.sha256, layout)), layout)
            for c in contributions
        ]
        shares = [c.weight / total for c in contributions]
        remaining = (layout.n_bytes - len(layout.header)) // 4
        while remaining:
            count = min(remaining, PIECE_VALUES)
            yield _piece(sources, shares, count).tobytes()
            remaining -= count
        for source in sources:
            source.check()


class _Source:
    """One contributor's file, hashed while it is read."""

    def __init__(self, contribution: Contribution, file: BinaryIO, layout: Layout) -> None:
        self._sha256 = contribution.sha256
        self._file = file
        self._sha = hashlib.sha256(layout.header)

    def read(self, count: int) -> NDArray[np.float32]:
        """The next `count` values."""
        piece = self._file.read(4 * count)
        self._sha.update(piece)
        return np.frombuffer(piece, dtype="<f4")

    def check(self) -> None:
        """Raises ArtifactError if the bytes were not what their name says."""
        if self._sha.hexdigest() != self._sha256:
            raise ArtifactError(f"artifact {self._sha256} is damaged: restore it from a backup")


def _piece(sources: Sequence[_Source], shares: Sequence[float], count: int) -> NDArray[np.float32]:
    """The mean of the next `count` values of all sources."""
    mean = np.zeros(count, dtype=np.float64)
    for source, share in zip(sources, shares, strict=True):
        values = source.read(count)
        with np.errstate(invalid="ignore"):
            mean += share * values.astype(np.float64)
    if not np.isfinite(mean).all():
        raise ArtifactError("an average is not finite: restore the damaged artifact it is made of")
    return mean.astype("<f4")


def open_component(store: ArtifactStore, sha256: str, layout: Layout) -> BinaryIO:
    """A component's file, positioned behind its header. Raises ArtifactError if it is another."""
    file = store.open_path(sha256).open("rb")
    header = file.read(len(layout.header))
    if header != layout.header or os.fstat(file.fileno()).st_size != layout.n_bytes:
        file.close()
        raise ArtifactError(f"artifact {sha256} has other tensors than its catalogue: drop it")
    return file
