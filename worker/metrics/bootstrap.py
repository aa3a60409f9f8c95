"""How sure a figure is: percentile intervals over splits that are drawn anew with replacement."""

from collections.abc import Iterator, Mapping

import torch
from torch import Generator, Tensor

from shared.evaluation_spec import IntervalsSpec
from worker.metrics.statistics import Statistic

_AT_ONCE = 1 << 21  # samples of resamples drawn together: some 50 MB, however large the split
Intervals = dict[str, tuple[float, float]]


def intervals(
    statistics: Mapping[str, Statistic], n: int, spec: IntervalsSpec, draw: Generator
) -> Intervals:
    """The interval of each figure over `n` samples, all from the same resamples.

    The same generator gives the same resamples, so that models over one split can be compared
    pairwise. A single sample says nothing of its spread: no intervals.
    """
    if n < 2 or not spec.resamples:
        return {}
    # Filled in place: small results made between the large counts would break memory up.
    found = {name: torch.empty(spec.resamples, dtype=torch.float64) for name in statistics}
    first = 0
    for counts in resamples(n, spec.resamples, draw):
        for name, statistic in statistics.items():
            found[name][first : first + len(counts)] = statistic.resampled(counts)
        first += len(counts)
    tail = (1 - spec.confidence) / 2
    ends = torch.tensor([tail, 1 - tail], dtype=torch.float64)
    return {name: _ends(each, ends) for name, each in found.items()}


def resamples(n: int, times: int, draw: Generator) -> Iterator[Tensor]:
    """How often each of `n` samples is in each resample: (R, N) float64, some R at once."""
    rows = max(_AT_ONCE // n, 1)
    for first in range(0, times, rows):
        r = min(rows, times - first)
        drawn = torch.randint(n, (r, n), generator=draw)
        drawn += torch.arange(r).unsqueeze(1) * n
        yield drawn.flatten().bincount(minlength=r * n).view(r, n).double()


def _ends(values: Tensor, ends: Tensor) -> tuple[float, float]:
    low, high = values.quantile(ends).tolist()
    return low, high
