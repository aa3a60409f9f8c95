"""The readiness card of a client, and what of it may be published: numbers only.

The card itself stays with the client: its findings name files, its counts name classes.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from shared.components import TaskKind
from shared.spec import Name, Spec

Severity = Literal["error", "warning"]
Number = Annotated[int, Field(ge=0, le=10**12)]
MOST_CARD_BYTES = 32 << 10  # of a published card, as JSON


class Spread(Spec):
    """How a quantity is spread over samples."""

    least: Number
    median: Number
    most: Number

    @classmethod
    def of(cls, values: Sequence[int]) -> "Spread | None":
        """Of some values, if there are any."""
        if not values:
            return None
        ordered = sorted(values)
        return cls(least=ordered[0], median=ordered[len(ordered) // 2], most=ordered[-1])


class SplitNumbers(Spec):
    """What may be published of one split of a task."""

    samples: Number
    domains: dict[Name, Number] = Field(default={})
    text_tokens: Spread | None = None
    target_tokens: Spread | None = None
    cut_texts: Number = Field(default=0, description="Longer than the model reads.")
    cut_targets: Number = Field(default=0, description="Longer than the task says.")
    widths: Spread | None = Field(default=None, description="Pixels, before they are scaled.")
    heights: Spread | None = None
    repeated: Number = Field(default=0, description="Samples that the split has already.")


class SplitCard(SplitNumbers):
    """One split of a task."""

    classes: dict[str, int] = Field(default={})


class PublishedSplit(SplitNumbers):
    """One split, with its classes by their place: what they are called is for the job to say."""

    per_class: tuple[Number, ...] = Field(
        default=(), description="Samples of each class, in the order of the task's classes."
    )

    @classmethod
    def of(cls, card: SplitCard, classes: Sequence[str]) -> "PublishedSplit":
        """A split's numbers, given the task's classes."""
        per_class = tuple(card.classes.get(name, 0) for name in classes)
        return cls(**card.model_dump(exclude={"classes"}), per_class=per_class)


class TaskNumbers(Spec):
    """What may be published of one task, besides its splits."""

    kind: TaskKind
    skipped: Number = Field(description="Rows that cannot be used.")
    shared: Number = Field(default=0, description="Samples that stand in two splits.")
    near: Number = Field(
        default=0,
        description="Samples of validation and test that look like one that trains.",
    )


class TaskCard(TaskNumbers):
    """One task of a client."""

    train: SplitCard
    validation: SplitCard
    test: SplitCard


class PublishedTask(TaskNumbers):
    """One task of a client, as others may see it."""

    train: PublishedSplit
    validation: PublishedSplit
    test: PublishedSplit

    @classmethod
    def of(cls, card: TaskCard, classes: Sequence[str]) -> "PublishedTask":
        """A task's numbers, given its classes."""
        splits = {
            split: PublishedSplit.of(getattr(card, split), classes)
            for split in ("train", "validation", "test")
        }
        return cls(**card.model_dump(exclude=set(splits)), **splits)


class PublishedCard(Spec):
    """What a client lets others see of its data: counts, never a text, a path or a class's name."""

    tasks: dict[Name, PublishedTask] = Field(
        description="Tasks that could be examined; of the others only the errors are counted."
    )
    errors: Number = Field(description="What must be done before the client can train.")
    warnings: Number

    @classmethod
    def of(cls, card: "Card", classes: Mapping[str, Sequence[str]]) -> "PublishedCard":
        """A card's numbers, given each task's classes."""
        severities = [finding.severity for finding in card.findings]
        tasks = {name: PublishedTask.of(task, classes[name]) for name, task in card.tasks.items()}
        return cls(
            tasks=tasks,
            errors=severities.count("error"),
            warnings=severities.count("warning"),
        )

    @property
    def n_bytes(self) -> int:
        """As JSON."""
        return len(self.model_dump_json())


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
