"""Means with their intervals: a bootstrap over clients, made as wide as few clients ask for.

A client is drawn under each seed, with all that it has: what it scores at two tasks hangs together.
It is drawn among those of the same tasks, for which tasks there are was not left to chance. Of n
such clients n - 1 are drawn, and count as n (Rao and Wu 1988): n out of n would vary too little by
(n - 1) / n. The percentiles' distances from the mean are stretched from the normal distribution's
to Student's, with Satterthwaite's degrees of freedom, as a few clients tell their own spread badly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
Group = NDArray[np.intp]
_RESAMPLES = 2000
_TAIL = 0.025
LEAST = 6  # of fewer clients no interval is told: their resamples are too few


@dataclass(frozen=True)
class Estimate:
    """A mean of `n` cells with its interval, which is the mean alone where `units` are too few."""

    mean: float
    low: float
    high: float
    n: int
    units: int = LEAST  # clients that were resampled, each under each seed
    seeds: tuple[float, ...] = ()  # of a difference: its mean under each seed

    @property
    def few(self) -> bool:
        """Whether there is no interval."""
        return self.units < LEAST

    @property
    def sign(self) -> int:
        """1 or -1 where the interval excludes 0 and no seed points the other way, else 0."""
        found = (self.low > 0) - (self.high < 0)
        agree = all(each * found > 0 for each in self.seeds)
        return found if agree and not self.few else 0


def over_seeds(means: Sequence[float]) -> Estimate | None:
    """What seeds alone tell: Student's interval of their means; None of fewer than three.

    Seeds draw federations and trainings; clients of one seed have that in common, which intervals
    over clients do not see.
    """
    n = len(means)
    if n < 3:
        return None
    mean = float(np.mean(means))
    half = float(stats.t.ppf(1 - _TAIL, n - 1) * np.std(means, ddof=1) / np.sqrt(n))
    return Estimate(mean, mean - half, mean + half, n)


def estimated(sums: Array, counts: Array, contrast: Array) -> Estimate:
    """The columns' means, weighted by `contrast` (columns,).

    sums, counts: what each client adds to each column, and of how many values (clients, columns). A
    column that none of those drawn has keeps its mean in that resample.
    """
    whole = counts.sum(axis=0)
    means = sums.sum(axis=0) / whole
    mean, n, units = float(means @ contrast), int(whole.sum()), len(sums)
    if units < LEAST:
        return Estimate(mean, mean, mean, n, units)
    groups = _alike(counts)
    weights = _resamples(groups, units)
    with np.errstate(invalid="ignore"):
        drawn = (weights @ sums) / (weights @ counts)
    drawn = np.where(np.isnan(drawn), means, drawn) @ contrast
    influence = ((sums - means * counts) / whole) @ contrast
    stretch = float(stats.t.ppf(1 - _TAIL, _freedom(influence, groups)) / stats.norm.ppf(1 - _TAIL))
    ends = np.percentile(drawn, [100 * _TAIL, 100 * (1 - _TAIL)])
    low, high = mean + stretch * (ends - mean)
    return Estimate(mean, float(low), float(high), n, units)


def _alike(counts: Array) -> Sequence[Group]:
    """Clients by the columns that they have; who has nobody alike is drawn among such."""
    _, names = np.unique(counts > 0, axis=0, return_inverse=True)
    groups = [np.flatnonzero(names == name) for name in np.unique(names)]
    single = [group for group in groups if len(group) == 1]
    if len(single) == 1:
        return [np.arange(len(counts))]
    several = [group for group in groups if len(group) > 1]
    return [*several, np.concatenate(single)] if single else several


def _resamples(groups: Sequence[Group], units: int) -> Array:
    """How much each client counts in each resample (resamples, clients); the same for as many."""
    chance, weights = np.random.default_rng(units), np.zeros((_RESAMPLES, units))
    for group in groups:
        n = len(group)
        drawn = chance.multinomial(n - 1, np.full(n, 1 / n), _RESAMPLES)
        weights[:, group] = drawn * n / (n - 1)
    return weights


def _freedom(influence: Array, groups: Sequence[Group]) -> float:
    """Satterthwaite's, of a sum of each group's variance; influence: of each client on the mean."""
    sizes = np.array([len(group) for group in groups])
    spread = sizes * np.array([influence[group].var(ddof=1) for group in groups])
    if not spread.any():
        return float(sizes.sum() - len(sizes))
    return float(spread.sum() ** 2 / (spread**2 / (sizes - 1)).sum())
