"""Tables over results: method by task with intervals, differences to TAP, ranks, budgets.

A cell is one client's skill at one task under one seed. Means are over cells; intervals are
bootstrap percentiles over cells, and of a difference over pairs of cells.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Json = Mapping[str, Any]
Cells = dict[tuple[str, str, int], float]  # task, client, seed -> skill
_RESAMPLES = 2000
_CONFIDENCE = 0.95
TAP = "tap"
# Which models of a run are rows of the table, and under what name.
_ROWS: Mapping[tuple[str, str], str] = {
    ("local", "post_trained"): "local",
    ("fedavg", "engaged"): "fedavg",
    ("fedavg", "post_trained"): "fedavg+post",
    ("disentafl", "engaged"): "disentafl",
    ("disentafl", "post_trained"): "disentafl+post",
    ("tap", "personal"): "tap, before stage two",
    ("tap", "distilled"): TAP,
}
_LAST = ("distilled", "post_trained", "personal")  # of other methods: what they end with


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval."""

    mean: float
    low: float
    high: float
    n: int


def rows_of(results: Iterable[Json], on: str, clients: str) -> dict[str, Cells]:
    """The cells of each row of the table.

    on: `own` or `whole` test samples. clients: the first letter of their names, c or n.
    """
    found: dict[str, Cells] = {}
    for result in results:
        method, seed = result["run"]["method"], int(result["run"]["seed"])
        scores = [s for s in result["scores"] if s["on"] == on and s["client"][0] == clients]
        there = {s["variant"] for s in scores}
        last = next((variant for variant in _LAST if variant in there), "engaged")
        known = method in {name for name, _ in _ROWS}
        for score in scores:
            name = _ROWS.get((method, score["variant"]))
            if not known and score["variant"] == last:
                name = method
            if name is not None:
                cell = (score["task"], score["client"], seed)
                found.setdefault(name, {})[cell] = float(score["skill"])
    return found


def estimate(values: Sequence[float]) -> Estimate:
    """Of the values' mean. Raises ValueError for none."""
    if not values:
        raise ValueError("nothing to average")
    drawn = _means(np.array(values))
    tail = 50 * (1 - _CONFIDENCE)
    low, high = np.percentile(drawn, [tail, 100 - tail])
    return Estimate(float(np.mean(values)), float(low), float(high), len(values))


def _means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of resamples; the same resamples for as many values."""
    draw = np.random.default_rng(len(values))
    chosen = draw.integers(0, len(values), (_RESAMPLES, len(values)))
    return np.asarray(values[chosen].mean(axis=1), dtype=np.float64)


def by_task(cells: Cells) -> dict[str, Estimate]:
    """Each task's mean skill."""
    return {task: estimate(list(_of(cells, task).values())) for task in tasks(cells)}


def differences(cells: Cells, tap: Cells) -> dict[str, Estimate]:
    """TAP's skill less that of another, on each task and, as `all`, over all of them."""
    both = {cell: tap[cell] - value for cell, value in cells.items() if cell in tap}
    each = {task: estimate(list(_of(both, task).values())) for task in tasks(both)}
    return {**each, "all": estimate(list(both.values()))} if both else {}


def ranks(table: Mapping[str, Mapping[str, Estimate]]) -> dict[str, float]:
    """Each row's rank, 1 for the best, averaged over the tasks; equal ones share theirs."""
    common = set.intersection(*(set(row) for row in table.values())) if table else set()
    places: dict[str, list[float]] = {name: [] for name in table}
    for task in sorted(common):
        means = {name: row[task].mean for name, row in table.items()}
        for name, mean in means.items():
            better = sum(other > mean for other in means.values())
            same = sum(other == mean for other in means.values())
            places[name].append(better + (same + 1) / 2)
    return {name: sum(each) / len(each) for name, each in places.items() if each}


def tasks(cells: Cells) -> list[str]:
    """The tasks, sorted."""
    return sorted({task for task, _, _ in cells})


def _of(cells: Cells, task: str) -> Cells:
    return {cell: value for cell, value in cells.items() if cell[0] == task}


def budgets(results: Iterable[Json]) -> dict[str, dict[str, float]]:
    """What a run of each method took, on average: steps, bytes each way, seconds."""
    taken: dict[str, list[Json]] = {}
    for result in results:
        taken.setdefault(result["run"]["method"], []).append(result)
    names = ("optimizer_steps", "bytes_up", "bytes_down", "seconds")
    return {
        method: {name: sum(float(r[name]) for r in each) / len(each) for name in names}
        for method, each in taken.items()
    }


def replacements(results: Iterable[Json]) -> dict[int, tuple[int, int]]:
    """TAP's replacements in each round, and chances: first participations, forced, left out."""
    found: dict[int, tuple[int, int]] = {}
    for result in results:
        if result["run"]["method"] == TAP:
            for decision in result["decisions"]:
                if decision["personal_loss"] is not None:
                    done, chances = found.get(decision["round"], (0, 0))
                    found[decision["round"]] = (done + decision["replaced"], chances + 1)
    return dict(sorted(found.items()))
