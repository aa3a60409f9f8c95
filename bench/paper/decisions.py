"""TAP's replacements, counted: over rounds, by task, and all of them.

A first participation is forced to replace and is no chance; of chances some are taken.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from intervals import Estimate, estimated
from tables import Json


@dataclass(frozen=True)
class Count:
    """Decisions of stage one."""

    forced: int = 0
    chances: int = 0
    taken: int = 0

    @property
    def rate(self) -> float | None:
        """The share of the chances that were taken; None without chances."""
        return self.taken / self.chances if self.chances else None

    def and_one(self, decision: Json) -> "Count":
        """With another decision."""
        if decision["personal_loss"] is None:
            return Count(self.forced + 1, self.chances, self.taken)
        return Count(self.forced, self.chances + 1, self.taken + bool(decision["replaced"]))


def count(
    results: Iterable[Json], counts: Callable[[Json, int], bool] = lambda _, __: True
) -> Count:
    """All decisions that count: each is asked about with its job's number of rounds."""
    found = Count()
    for result in results:
        rounds = int(result["spec"]["rounds"]["count"])
        for decision in result["decisions"]:
            if counts(decision, rounds):
                found = found.and_one(decision)
    return found


def by_round(results: Iterable[Json]) -> dict[int, Count]:
    """Of each round with a decision."""
    found: dict[int, Count] = {}
    for result in results:
        for decision in result["decisions"]:
            number = int(decision["round"])
            found[number] = found.get(number, Count()).and_one(decision)
    return dict(sorted(found.items()))


def by_task(results: Iterable[Json]) -> dict[str, Count]:
    """Of each task with a decision."""
    found: dict[str, Count] = {}
    for result in results:
        for decision in result["decisions"]:
            task = str(decision["task"])
            found[task] = found.get(task, Count()).and_one(decision)
    return dict(sorted(found.items()))


def fall(results: Iterable[Json]) -> Estimate | None:
    """The share taken in the first third of the rounds less the last's; None without chances."""
    taken, chances = dict[tuple[str, int], list[int]](), dict[tuple[str, int], list[int]]()
    for result in results:
        rounds = int(result["spec"]["rounds"]["count"])
        for decision in result["decisions"]:
            third = _third(int(decision["round"]), rounds)
            if third is not None and decision["personal_loss"] is not None:
                who = str(decision["client"]), int(result["run"]["seed"])
                taken.setdefault(who, [0, 0])[third] += bool(decision["replaced"])
                chances.setdefault(who, [0, 0])[third] += 1
    sums, counts = np.array(list(taken.values()), float), np.array(list(chances.values()), float)
    if not taken or not counts.sum(axis=0).all():
        return None
    return estimated(sums, counts, np.array([1.0, -1.0]))


def _third(number: int, rounds: int) -> int | None:
    """0 for a round of the first third, 1 for one of the last."""
    if number <= rounds // 3:
        return 0
    return 1 if number > rounds - rounds // 3 else None


def by_period(results: Iterable[Json]) -> dict[str, Count]:
    """Of all rounds, and of the first and the last third of them."""
    every = list(results)
    return {
        "all rounds": count(every),
        "first third": count(every, lambda d, rounds: _third(int(d["round"]), rounds) == 0),
        "last third": count(every, lambda d, rounds: _third(int(d["round"]), rounds) == 1),
    }
