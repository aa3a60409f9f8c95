"""Public samples that are drawn without replacement, in given proportions."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from packages import PrepareError

T = TypeVar("T")


@dataclass
class Pool(Generic[T]):
    """Public samples that nobody has yet, in random order."""

    name: str
    samples: list[T]
    rng: random.Random
    left: list[T] = field(init=False)

    def __post_init__(self) -> None:
        self.left = list(self.samples)
        self.rng.shuffle(self.left)

    def draw(self, n: int, group: Callable[[T], str | None], mix: Mapping[str, float]) -> list[T]:
        """Take `n` samples, in random order, the groups in the proportions of `mix` (D'Hondt).

        Raises PrepareError when a group runs out, for then splits would differ in distribution.
        """
        counts = dict.fromkeys(mix, 0)
        for _ in range(n):
            counts[max(mix, key=lambda name: mix[name] / (counts[name] + 1))] += 1
        taken: list[T] = []
        left: list[T] = []
        for sample in self.left:
            name = group(sample)
            wanted = name is not None and counts.get(name, 0) > 0
            (taken if wanted else left).append(sample)
            if wanted and name is not None:
                counts[name] -= 1
        lacking = [name for name, count in counts.items() if count]
        if lacking:
            raise PrepareError(f"{self.name} has too few of {lacking}: lower the client's share")
        self.left = left
        self.rng.shuffle(taken)
        return taken
