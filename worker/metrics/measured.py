"""What was measured of one model at one task, and the score that is reported of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Generator

from shared.evaluation_spec import IntervalsSpec
from shared.metrics import skill
from shared.results import TaskScore
from worker.metrics.bootstrap import intervals
from worker.metrics.statistics import Statistic


class Decisive(NamedTuple):
    """What a model is worth at a task; either may be no number."""

    skill: float  # of the primary figure
    loss: float  # mean over samples


@dataclass(frozen=True)
class Measured:
    """All figures of a task, its primary one, and what that is compared with."""

    primary: str
    loss: str  # the figure that training makes small
    reference: float  # of the best constant answer learnt from the training split
    best: float  # of a perfect answer
    statistics: Mapping[str, Statistic]
    encoder: str | None = None

    @property
    def value(self) -> float:
        """Of the primary figure."""
        return self.statistics[self.primary].value

    @property
    def decisive(self) -> Decisive:
        """By what models are told apart."""
        scaled = skill(self.value, self.reference, self.best)
        return Decisive(scaled, self.statistics[self.loss].value)

    def score(self, n: int, spec: IntervalsSpec, draw: Generator) -> TaskScore:
        """The score over `n` samples, with intervals out of the generator's resamples."""
        metrics = {name: statistic.value for name, statistic in self.statistics.items()}
        return TaskScore(
            metric=self.primary,
            value=self.value,
            reference=self.reference,
            skill=skill(self.value, self.reference, self.best),
            n=n,
            metrics=metrics,
            intervals=intervals(self.statistics, n, spec, draw),
            encoder=self.encoder,
        )
