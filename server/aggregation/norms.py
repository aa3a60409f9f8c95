"""How far a contribution has moved a component, measured beside what reads its bytes."""

import math
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray


class Change:
    """The L2 norm of a component less the file that it started from, piece by piece, in float64."""

    def __init__(self, start: BinaryIO) -> None:
        self._start = start  # positioned behind its header
        self._squares = 0.0

    def add(self, values: NDArray[np.float32]) -> None:
        """Go on with the component's next values."""
        before = np.frombuffer(self._start.read(values.nbytes), dtype="<f4")
        change = values.astype(np.float64) - before
        # np.dot would use threads, which spin against each other on a busy server
        self._squares += float(np.einsum("i,i->", change, change))

    @property
    def norm(self) -> float | None:
        """The norm over all values so far; None where the start was not finite."""
        return math.sqrt(self._squares) if math.isfinite(self._squares) else None
