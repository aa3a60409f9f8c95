"""A robust slope: the median of all pairs' slopes (Theil and Sen), with its interval.

A few odd samples move it little, and the interval asks for no distribution of the noise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist, median

_LEVEL = NormalDist().inv_cdf(0.975)  # an interval of 95 %


@dataclass(frozen=True)
class Slope:
    """A slope per step, and where it lies with 95 %."""

    value: float
    low: float
    high: float


def slope(values: Sequence[float]) -> Slope:
    """The slope of values that are one step apart. Raises ValueError for fewer than five."""
    n = len(values)
    if n < 5:
        raise ValueError(f"{n} values have no slope to speak of: take five at least")
    slopes = sorted((b - a) / (j - i) for (i, a), (j, b) in combinations(enumerate(values), 2))
    spread = _LEVEL * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)  # of Kendall's S
    low = max(math.floor((len(slopes) - spread) / 2) - 1, 0)
    high = min(math.ceil((len(slopes) + spread) / 2), len(slopes) - 1)
    return Slope(median(slopes), slopes[low], slopes[high])
