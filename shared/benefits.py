"""Who benefits: what federation gave each client at each task, beside training alone.

Pure functions over scores, for the API, the page, the report and the command line.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from shared.reports import ReportRow, Verdict
from shared.results import TaskScore, Variant

PROPORTIONS = frozenset({"accuracy", "exact_match"})  # of right answers
_Z = 1.959964  # of 95 %
Interval = tuple[float, float]

# What a client ends with: the first of these that its job has.
_LAST = (
    Variant.GUARDED,
    Variant.DISTILLED,
    Variant.POST_TRAINED,
    Variant.PERSONAL,
    Variant.ENGAGED,
)


@dataclass(frozen=True)
class Benefit:
    """One client's task: its models' scores, and those of training alone and of FedAvg."""

    client: str
    task: str
    models: Mapping[Variant, TaskScore]
    alone: TaskScore | None = None
    averaged: TaskScore | None = None

    @property
    def metric(self) -> str:
        """The primary metric, of all of them."""
        return next(iter(self.models.values())).metric

    @property
    def last(self) -> Variant:
        """The model that the client ends with."""
        return next(variant for variant in _LAST if variant in self.models)

    @property
    def gain(self) -> float | None:
        """How much more skill the client has than alone."""
        return None if self.alone is None else self.models[self.last].skill - self.alone.skill

    @property
    def difference(self) -> Interval | None:
        """The interval of the metric less that of training alone; None where one has none."""
        return None if self.alone is None else difference(self.models[self.last], self.alone)

    @property
    def verdict(self) -> Verdict:
        """Where the difference's interval excludes 0; within it nobody can tell."""
        if self.alone is None or self.gain is None:
            return Verdict.UNKNOWN
        if self.difference is None or self.difference[0] <= 0 <= self.difference[1]:
            return Verdict.LEVEL
        return Verdict.HELPED if self.gain > 0 else Verdict.HURT


def difference(score: TaskScore, other: TaskScore) -> Interval | None:
    """The interval of a metric's difference out of those of both models.

    Each end goes as far as both intervals together (Zou and Donner 2008; of proportions Newcombe
    1998, method 10). The models answer the same samples, mostly alike, so it is rather too wide.
    """
    one, two = interval(score), interval(other)
    if one is None or two is None:
        return None
    apart = score.value - other.value
    below = math.hypot(score.value - one[0], two[1] - other.value)
    above = math.hypot(one[1] - score.value, other.value - two[0])
    return apart - below, apart + above


def interval(score: TaskScore) -> Interval | None:
    """A score's interval: Wilson's of a share of right answers, else the bootstrap's.

    Resamples of all right or all wrong answers are all alike, as if nothing were left to chance.
    """
    if score.metric not in PROPORTIONS or not 0 <= score.value <= 1:
        return score.intervals.get(score.metric)
    n, share = score.n, score.value
    scale = 1 + _Z**2 / n
    middle = (share + _Z**2 / (2 * n)) / scale
    half = _Z / scale * math.sqrt(share * (1 - share) / n + (_Z / (2 * n)) ** 2)
    return max(middle - half, 0.0), min(middle + half, 1.0)


@dataclass(frozen=True)
class Benefits:
    """All of a job's clients and tasks."""

    rows: tuple[Benefit, ...]
    counts: Mapping[Verdict, int] = field(init=False)

    def __post_init__(self) -> None:
        found = dict.fromkeys(Verdict, 0)
        for row in self.rows:
            found[row.verdict] += 1
        object.__setattr__(self, "counts", found)

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Those that somebody's models have, in the order in which they come about."""
        return tuple(v for v in Variant if any(v in row.models for row in self.rows))

    @property
    def hurt(self) -> tuple[Benefit, ...]:
        """The negative-transfer alarm: who would have done better alone, the worst first."""
        found = [row for row in self.rows if row.verdict is Verdict.HURT]
        return tuple(sorted(found, key=lambda row: row.gain or 0.0))

    def mean(self, variant: Variant) -> float | None:
        """The mean skill of a model over all clients and tasks; None unless all have it."""
        return _mean([row.models.get(variant) for row in self.rows])

    @property
    def mean_alone(self) -> float | None:
        """Likewise of training alone."""
        return _mean([row.alone for row in self.rows])

    @property
    def has_averaged(self) -> bool:
        """Whether anybody's score by FedAvg is known."""
        return any(row.averaged is not None for row in self.rows)

    @property
    def mean_averaged(self) -> float | None:
        """Likewise of FedAvg."""
        return _mean([row.averaged for row in self.rows])

    @property
    def sentence(self) -> str:
        """The plain verdict."""
        compared = [row for row in self.rows if row.alone is not None]
        if not compared:
            return "How clients do alone is not known: choose a job of algorithm local beside it."
        helped, level = self.counts[Verdict.HELPED], self.counts[Verdict.LEVEL]
        said = f"Federation helped {helped} of {len(compared)}"
        said += (
            f", {level} {'is' if level == 1 else 'are'} level with training alone" if level else ""
        )
        hurt = ", ".join(f"{row.client} on {row.task}" for row in self.hurt)
        return f"{said}; it hurt {hurt}." if hurt else f"{said}; it hurt none."


def benefits(
    scores: Iterable[ReportRow],
    alone: Iterable[ReportRow] = (),
    averaged: Iterable[ReportRow] = (),
) -> Benefits:
    """A job's scores beside those of a job of clients alone, and of one by FedAvg."""
    singly, by_fedavg = _by_place(alone), _by_place(averaged)
    return Benefits(
        tuple(
            Benefit(*place, found, _best(singly.get(place, {})), _best(by_fedavg.get(place, {})))
            for place, found in sorted(_by_place(scores).items())
        )
    )


def _by_place(scores: Iterable[ReportRow]) -> dict[tuple[str, str], dict[Variant, TaskScore]]:
    found: dict[tuple[str, str], dict[Variant, TaskScore]] = {}
    for row in scores:
        found.setdefault((row.client, row.task), {})[row.variant] = row.score
    return found


def _best(models: Mapping[Variant, TaskScore]) -> TaskScore | None:
    """What a client ended with."""
    return next((models[variant] for variant in _LAST if variant in models), None)


def _mean(scores: Sequence[TaskScore | None]) -> float | None:
    known = [score.skill for score in scores if score is not None]
    return sum(known) / len(known) if known and len(known) == len(scores) else None
