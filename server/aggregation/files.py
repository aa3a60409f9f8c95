"""What is aggregated: one component's file from each contributor."""

import os
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from shared.artifacts import ArtifactError, ArtifactStore
from shared.tensor_file import Layout


@dataclass(frozen=True, slots=True)
class Contribution:
    """One client's tensors of a component, and how many samples trained them."""

    client: str
    sha256: str
    weight: float


def open_component(store: ArtifactStore, sha256: str, layout: Layout) -> BinaryIO:
    """A component's file, positioned behind its header. Raises ArtifactError if it is another."""
    file = store.open_path(sha256).open("rb")
    header = file.read(len(layout.header))
    if header != layout.header or os.fstat(file.fileno()).st_size != layout.n_bytes:
        file.close()
        raise ArtifactError(f"artifact {sha256} has other tensors than its catalogue: drop it")
    return file


def rounded(average: NDArray[np.float64]) -> NDArray[np.float32]:
    """An average as it is kept. Raises ArtifactError where it is not finite, also by rounding."""
    with np.errstate(over="ignore"):
        values = average.astype("<f4")
    if not np.isfinite(values).all():
        raise ArtifactError("an average is not finite: restore the damaged artifact it is made of")
    return values
