"""The readiness card of a client: numbers only, so that it may be published."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from shared.components import TaskKind
from shared.job_spec import Name
from shared.spec import Spec

Severity = Literal["error", "warning"]


class Spread(Spec):
    """How a quantity is spread over samples."""

    least: int
    median: int
    most: int

    @classmethod
    def of(cls, values: Sequence[int]) -> "Spread | None":
        """Of some values, if there are any."""
        if not values:
            return None
        ordered = sorted(values)
        return cls(least=ordered[0], median=ordered[len(ordered) // 2], most=ordered[-1])


class SplitCard(Spec):
    """One split of a task."""

    samples: int
    classes: dict[str, int] = Field(default={})
    domains: dict[str, int] = Field(default={})
    text_tokens: Spread | None = None
    target_tokens: Spread | None = None
    cut_texts: int = 0  # longer than the model reads
    cut_targets: int = 0  # longer than the task says
    widths: Spread | None = None  # pixels, before they are scaled
    heights: Spread | None = None
    repeated: int = 0  # samples that the split has already


class TaskCard(Spec):
    """One task of a client."""

    kind: TaskKind
    skipped: int  # rows that cannot be used
    train: SplitCard
    validation: SplitCard
    test: SplitCard
    shared: int = 0  # samples that stand in two splits
    near: int = 0  # samples of validation and test that look like one that trains


class Finding(Spec):
    """What must be done about a task before it trains, or may be."""

    severity: Severity
    task: Name
    sentence: str


class Cards(Spec):
    """Of several clients."""

    cards: tuple["Card", ...]

    @property
    def sound(self) -> bool:
        """Whether all of them can train."""
        return all(card.sound for card in self.cards)


class Card(Spec):
    """What a client's data are like."""

    client: Name
    tasks: dict[Name, TaskCard]
    findings: tuple[Finding, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether it can train."""
        return all(finding.severity != "error" for finding in self.findings)
