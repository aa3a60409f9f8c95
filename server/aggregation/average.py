"""The weighted mean of one component over its contributors, in constant memory.

All files have the same canonical layout (shared.tensor_file): after the header a component is one
run of float32 values. It is averaged piece by piece: whatever the number of contributors and the
size of the component, memory holds one piece of it in float64 and one contributor's in float32.
The sum runs in client order, so that the same contributions give the same bits. What is averaged is
hashed in the same pass, so that a damaged file stops the average instead of entering it. Low-rank
pairs may become something else than their means (server.aggregation.factors), which then takes the
means' place.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from server.aggregation.factors import combine
from server.aggregation.files import Contribution, open_component, rounded
from shared.aggregation_spec import LowRankAggregation
from shared.artifacts import ArtifactError, ArtifactStore
from shared.messages import ComponentSpec
from shared.tensor_file import Layout, component_layout

PIECE_VALUES = 1 << 18  # 1 MiB of float32


@dataclass(frozen=True, slots=True)
class Average:
    """An aggregated component."""

    sha256: str
    relative_error: float | None = None  # of its low-rank pairs' product; None without pairs


def aggregate(
    contributions: Sequence[Contribution],
    spec: ComponentSpec,
    store: ArtifactStore,
    low_rank: LowRankAggregation = "factors",
) -> Average:
    """Keep sum(w_c x_c) / sum(w_c) over the contributors c in `store`, low-rank pairs as asked.

    Accumulates in float64, rounds once to float32: a mean of finite values is finite. Raises
    ValueError without contributors or with a weight that is not positive, ArtifactError where a
    file is missing, has another layout or is damaged: then nothing is kept.
    """
    ordered = sorted(contributions, key=lambda c: c.client)
    if not ordered or any(c.weight <= 0 for c in ordered):
        raise ValueError("an average needs contributors, each with a positive weight")
    layout, pairs = component_layout(spec), combine(ordered, spec, store, low_rank)
    values = {layout.offsets[name]: v.tobytes() for name, v in pairs.values.items()}
    sha256 = store.write(_with(values, _mean(ordered, layout, store)))
    return Average(sha256, pairs.relative_error)


def _with(values: Mapping[int, bytes], chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The chunks of a file, with other bytes at some places of it."""
    end = 0
    for chunk in chunks:
        begin, end = end, end + len(chunk)
        changed = bytearray(chunk)
        for at, new in values.items():
            first, last = max(at, begin), min(at + len(new), end)
            if first < last:
                changed[first - begin : last - begin] = new[first - at : last - at]
        yield bytes(changed)


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
    return rounded(mean)
