"""A component's low-rank pairs: what they become together, and how far that is from their products.

One pair of all contributors is in memory at a time, and what has become of the pairs.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from server.aggregation.files import Contribution, open_component, rounded
from server.aggregation.low_rank import Factors, Matrix, distances, factor_mean, flora_na, svd
from shared.aggregation_spec import LowRankAggregation
from shared.artifacts import ArtifactError, ArtifactStore
from shared.low_rank import pairs
from shared.messages import ComponentSpec
from shared.tensor_file import component_layout

Values = NDArray[np.float32]
_METHODS: Mapping[LowRankAggregation, Callable[[Sequence[Factors]], tuple[Matrix, Matrix]]] = {
    "svd": svd,
    "flora_na": flora_na,
}


@dataclass(frozen=True, slots=True)
class Combined:
    """What takes the place of tensors' means, and the component's relative error."""

    values: Mapping[str, Values] = field(default_factory=dict)
    relative_error: float | None = None  # of all its pairs together; None without pairs


def combine(
    contributions: Sequence[Contribution],
    spec: ComponentSpec,
    store: ArtifactStore,
    low_rank: LowRankAggregation,
) -> Combined:
    """Aggregate the pairs.

    Raises ArtifactError where a file is missing or holds what is no number, and where finite pairs
    become what is none: a pair that a method has weighed anew may be larger than float32 takes.

    The relative error is |mean(BA) - B^A^| / |mean(BA)| in the Frobenius norm over all pairs.
    """
    found = [pair for pair in pairs(spec.tensors) if _fit(spec, *pair)]
    if not found:
        return Combined()
    values: dict[str, Values] = {}
    rest, whole = 0.0, 0.0
    with ExitStack() as stack:
        reader = _Reader(contributions, spec, store, stack)
        for a, b in found:
            given = reader.factors(a, b)
            made = _METHODS.get(low_rank, factor_mean)(given)
            if low_rank in _METHODS:
                values |= {n: rounded(m) for n, m in zip((a, b), made, strict=True)}
            off, mean = distances(given, *made)
            rest, whole = math.hypot(rest, off), math.hypot(whole, mean)
    return Combined(values, rest / whole if whole else 0.0)


def _fit(spec: ComponentSpec, a: str, b: str) -> bool:
    """Whether both are of one rank, as matrices or as a convolution and one of single pixels."""
    first, second = spec.tensors[a].shape, spec.tensors[b].shape
    if min(len(first), len(second)) < 2:
        return False
    return first[0] == second[1] and all(size == 1 for size in second[2:])


class _Reader:
    """Single tensors of the contributors' files."""

    def __init__(
        self,
        contributions: Sequence[Contribution],
        spec: ComponentSpec,
        store: ArtifactStore,
        stack: ExitStack,
    ) -> None:
        total = sum(c.weight for c in contributions)
        self._spec, self._layout = spec, component_layout(spec)
        self._files = [
            (c.weight / total, stack.enter_context(open_component(store, c.sha256, self._layout)))
            for c in contributions
        ]

    def factors(self, a: str, b: str) -> list[Factors]:
        """A pair of each contributor."""
        return [
            Factors(share, self._matrix(file, a), self._matrix(file, b))
            for share, file in self._files
        ]

    def _matrix(self, file: BinaryIO, name: str) -> Matrix:
        tensor = self._spec.tensors[name]
        file.seek(self._layout.offsets[name])
        values = np.frombuffer(file.read(tensor.n_bytes), dtype="<f4").astype(np.float64)
        if not np.isfinite(values).all():
            raise ArtifactError(f"tensor {name} of an artifact is not finite: restore the artifact")
        return values.reshape(tensor.shape[0], -1)
