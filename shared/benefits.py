"""Who benefits: what federation gave each client at each task, beside training alone.

Pure functions over scores, for the page, the report and the command line.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from shared.reports import ReportRow
from shared.results import TaskScore, Variant

# What a client ends with: the first of these that its job has.
_LAST = (
    Variant.GUARDED,
    Variant.DISTILLED,
    Variant.POST_TRAINED,
    Variant.PERSONAL,
    Variant.ENGAGED,
)


class Verdict(StrEnum):
    """What federation did for one client at one task."""

    HELPED = "helped"
    HURT = "hurt"
    LEVEL = "level"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Benefit:
    """One client's task: its models' scores, and the score of training alone."""

    client: str
    task: str
    models: Mapping[Variant, TaskScore]
    alone: TaskScore | None = None

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
    def verdict(self) -> Verdict:
        """Beyond the interval of the model that trained alone; within it nobody can tell."""
        if self.alone is None or self.gain is None:
            return Verdict.UNKNOWN
        value, interval = self.models[self.last].value, self.alone.intervals.get(self.metric)
        if interval is None or interval[0] <= value <= interval[1]:
            return Verdict.LEVEL
        return Verdict.HELPED if self.gain > 0 else Verdict.HURT


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


def benefits(scores: Iterable[ReportRow], alone: Iterable[ReportRow] = ()) -> Benefits:
    """A job's scores beside those of a job in which each client trained alone."""
    models: dict[tuple[str, str], dict[Variant, TaskScore]] = {}
    for row in scores:
        models.setdefault((row.client, row.task), {})[row.variant] = row.score
    singly: dict[tuple[str, str], dict[Variant, TaskScore]] = {}
    for row in alone:
        singly.setdefault((row.client, row.task), {})[row.variant] = row.score
    return Benefits(
        tuple(
            Benefit(client, task, found, _best(singly.get((client, task), {})))
            for (client, task), found in sorted(models.items())
        )
    )


def _best(models: Mapping[Variant, TaskScore]) -> TaskScore | None:
    """What a client ended with."""
    return next((models[variant] for variant in _LAST if variant in models), None)


def _mean(scores: Sequence[TaskScore | None]) -> float | None:
    known = [score.skill for score in scores if score is not None]
    return sum(known) / len(known) if known and len(known) == len(scores) else None
