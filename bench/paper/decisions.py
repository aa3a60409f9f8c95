"""TAP's replacements, counted: over rounds, by task, and all of them.

A first participation is forced to replace and is no chance; of chances some are taken.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

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


def by_period(results: Iterable[Json]) -> dict[str, Count]:
    """Of all rounds, and of the first and the last third of them."""
    every = list(results)
    return {
        "all rounds": count(every),
        "first third": count(every, lambda d, rounds: int(d["round"]) <= rounds // 3),
        "last third": count(every, lambda d, rounds: int(d["round"]) > rounds - rounds // 3),
    }
