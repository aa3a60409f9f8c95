"""Who takes part, and in what: the paper's thirty clients in ten patterns, three of each.

Each of the paper's tasks is stood in for by one of the same kind (ALGORITHM 4 names the paper's):

| the paper's | here |
|---|---|
| Fashion-MNIST generation, Tiny-ImageNet | Fashion-MNIST, drawn again or classified |
| Caltech-256 generation | easy-VQA's drawings, drawn again |
| CIFAR-100 | optical digits |
| AG News | Reuters R8 |
| VQAv2 | easy-VQA |
| MMLU of three subjects | what VADER's raters say of a sentence, of three sources |
| CommonGen | what a Reuters report's headline announces, from its table |
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fashion import CLASSES
from federation import DIGITS, TOPICS, SplitName

Family = Literal["flava", "vilt"]
GROUPS = 3
Sizes = Mapping[SplitName, int]
SIZES: Sizes = {"train": 100, "validation": 30, "test": 50}
_SWEPT_SIZES: Sizes = {**SIZES, "test": 20}  # where many clients have one task
WHOLE = "whole"  # a client whose tests are each task's own test set
# It trains nothing: the best constant answer is learnt from its training split, as at any client.
WHOLE_SIZES: Sizes = {"train": 100, "validation": 5, "test": 100}
_NEW = (0, 1, 4, 6, 7)  # patterns of clients that no round knows
SUBJECTS = ("films", "products", "tweets")

PATTERNS: Mapping[Family, tuple[tuple[str, ...], ...]] = {
    "flava": (
        ("clothes",), ("topics",), ("topics",), ("drawings",), ("vqa",), ("vqa",), ("opinions",),
        ("digits", "topics"), ("headlines", "fashion"), ("headlines", "drawings"),
    ),
    "vilt": (
        ("fashion",), ("topics",), ("topics",), ("drawings",), ("vqa",), ("vqa",), ("opinions",),
        ("fashion", "topics"), ("headlines", "fashion"), ("headlines", "drawings"),
    ),
}  # fmt: skip


# Tasks that are added one by one where their number is swept: the first is there from the start.
SWEPT: Mapping[Family, tuple[str, ...]] = {
    "flava": ("topics", "clothes", "vqa", "opinions", "drawings", "digits"),
    "vilt": ("topics", "fashion", "vqa", "opinions", "drawings", "headlines"),
}


@dataclass(frozen=True)
class Task:
    """One task, as a client file describes it."""

    kind: str
    modalities: tuple[str, ...]
    classes: tuple[str, ...] = ()
    domains: tuple[str, ...] = ("general",)


TASKS: Mapping[str, Task] = {
    "clothes": Task("image_classification", ("image",), CLASSES),
    "digits": Task("image_classification", ("image",), DIGITS),
    "drawings": Task("image_generation", ("image",)),
    "fashion": Task("image_generation", ("image",)),
    "headlines": Task("text_generation", ("text",)),
    "opinions": Task("text_generation", ("text",), domains=SUBJECTS),
    "topics": Task("text_classification", ("text",), TOPICS),
    "vqa": Task("text_generation", ("image", "text")),
}


@dataclass(frozen=True)
class Division:
    """Which client has which tasks, and how alike its share is to the others'.

    alpha: of the Dirichlet distribution from which each client's shares of a task's groups are
    drawn (classes, kinds of questions); without it all clients have the public ones. k: instead of
    ten patterns the thirty clients have one of so many tasks each. alone: of that division the
    clients of the first task only.
    """

    family: Family
    seed: int
    alpha: float | None = None
    k: int | None = None
    alone: int | None = None

    @property
    def clients(self) -> Mapping[str, tuple[str, ...]]:
        """The tasks of all: participants, newcomers, and `whole`, which has each task."""
        members = {**self.participants, **self._newcomers}
        return {WHOLE: tuple(sorted({t for each in members.values() for t in each})), **members}

    @property
    def participants(self) -> Mapping[str, tuple[str, ...]]:
        """The tasks of those who train."""
        names, k = [f"c{n:02}" for n in range(10 * GROUPS)], self.alone or self.k
        if k is None:
            patterns = PATTERNS[self.family]
            return {name: patterns[n % len(patterns)] for n, name in enumerate(names)}
        swept = {name: (SWEPT[self.family][n % k],) for n, name in enumerate(names)}
        first = SWEPT[self.family][0]
        return {n: t for n, t in swept.items() if self.alone is None or t == (first,)}

    @property
    def _newcomers(self) -> Mapping[str, tuple[str, ...]]:
        """Clients that no round knows."""
        if self.alone or self.k:
            return {}
        return {f"n{n}": PATTERNS[self.family][pattern] for n, pattern in enumerate(_NEW)}

    @property
    def tasks(self) -> tuple[str, ...]:
        """All of them."""
        return self.clients[WHOLE]

    @property
    def sizes(self) -> Sizes:
        """Of a client's splits, for each of its tasks."""
        return _SWEPT_SIZES if self.alone or self.k else SIZES
