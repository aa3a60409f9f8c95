"""Tables over results: method by task with intervals, differences to TAP, ranks, budgets.

A cell is one client's score at one task under one seed. A mean over tasks counts each task alike.
Intervals are of a bootstrap over clients (`intervals.py`), and of a difference over pairs of the
same client's cells.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from intervals import Estimate, estimated

Json = Mapping[str, Any]
Cells = dict[tuple[str, str, int], float]  # task, client, seed -> skill
TAP, LOCAL, FEDAVG = "tap", "local", "fedavg"
BEFORE = "tap, before stage two"
GUARDED = "tap+guard"
PAPER = (LOCAL, FEDAVG, "fedavg+post", "disentafl", "disentafl+post", TAP)  # rows of the paper's
# Which models of a run are rows of the table, and under what name.
_ROWS: Mapping[tuple[str, str], str] = {
    ("local", "post_trained"): LOCAL,
    ("fedavg", "engaged"): FEDAVG,
    ("fedavg", "post_trained"): "fedavg+post",
    ("disentafl", "engaged"): "disentafl",
    ("disentafl", "post_trained"): "disentafl+post",
    ("tap", "personal"): BEFORE,
    ("tap", "distilled"): TAP,
    ("tap", "guarded"): GUARDED,
}
_KNOWN = {method for method, _ in _ROWS}
_LAST = ("distilled", "post_trained", "personal")  # of other methods: what they end with
# Where a run departs from the paper's federation; None: it does not.
_DEPARTURES: Json = {"alpha": None, "margin": None, "k": None, "alone": None}
BUDGET = ("optimizer_steps", "samples", "bytes_up", "bytes_down", "cpu_seconds", "seconds")
HURT = 0.02  # a smaller change of skill is called none


def chosen(results: Iterable[Json], **asked: object) -> list[Json]:
    """Results of runs with these fields; without departures from the paper's that none asks for."""
    wanted = {**_DEPARTURES, **asked}
    return [r for r in results if all(r["run"][name] == wanted[name] for name in wanted)]


def values_of(results: Iterable[Json], family: str, departure: str) -> list[Any]:
    """The values by which a family's runs depart from the paper's federation, sorted."""
    runs = [result["run"] for result in results if result["run"]["family"] == family]
    return sorted({run[departure] for run in runs if run[departure] is not None})


def rows_of(
    results: Iterable[Json], on: str, clients: str, figure: str = "skill"
) -> dict[str, Cells]:
    """The cells of each row of the table, the paper's methods first.

    results: of one family and one division of the data. on: `own` or `whole` test samples.
    clients: the first letter of their names, c or n. figure: `skill` or `value`.
    """
    found: dict[str, Cells] = {}
    for result in results:
        scores = [s for s in result["scores"] if s["on"] == on and s["client"][0] == clients]
        name = namer(result["run"]["method"], {s["variant"] for s in scores})
        for score in scores:
            row = name(score["variant"])
            if row is not None:
                cell = (score["task"], score["client"], int(result["run"]["seed"]))
                found.setdefault(row, {})[cell] = float(score[figure])
    return {row: dict(sorted(found[row].items())) for row in sorted(found, key=_place)}


def namer(method: str, variants: Iterable[str]) -> Callable[[str], str | None]:
    """Names the row that a variant of the method's models is, None for none."""
    if method in _KNOWN:
        return lambda variant: _ROWS.get((method, variant))
    there = set(variants)
    last = next((variant for variant in _LAST if variant in there), "engaged")
    return lambda variant: method if variant == last else None


def _place(row: str) -> tuple[int, str]:
    return (PAPER.index(row) if row in PAPER else len(PAPER), row)


def server_cells(results: Iterable[Json]) -> Cells:
    """Skill of the server's model on the tasks' whole test sets: a cell for each task and seed.

    Participants have the same model and the same samples, so they are one cell and not many.
    """
    found: dict[tuple[str, str, int], list[float]] = {}
    for result in results:
        for score in result["scores"]:
            if (score["on"], score["variant"], score["client"][0]) == ("whole", "engaged", "c"):
                cell = (score["task"], "server", int(result["run"]["seed"]))
                found.setdefault(cell, []).append(float(score["skill"]))
    return {cell: sum(found[cell]) / len(found[cell]) for cell in sorted(found)}


def over_tasks(cells: Cells) -> Estimate:
    """Of the mean of the tasks' means. Raises ValueError for none."""
    if not cells:
        raise ValueError("nothing to average")
    columns, clients = tasks(cells), sorted({cell[1:] for cell in cells})
    sums, counts = np.zeros((2, len(clients), len(columns)))
    for cell, value in cells.items():
        at = clients.index(cell[1:]), columns.index(cell[0])
        sums[at] += value
        counts[at] += 1
    return estimated(sums, counts, np.full(len(columns), 1 / len(columns)))


def by_task(cells: Cells) -> dict[str, Estimate]:
    """Each task's mean."""
    return {task: over_tasks(_of(cells, task)) for task in tasks(cells)}


def by_seed(cells: Cells) -> dict[int, float]:
    """Each seed's mean over tasks."""
    found = {}
    for seed in seeds(cells):
        each = {cell: value for cell, value in cells.items() if cell[2] == seed}
        found[seed] = _over_tasks(each)
    return found


def differences(cells: Cells, tap: Cells) -> dict[str, Estimate]:
    """TAP's skill less that of another, on each task and, as `all`, over all of them."""
    both = {cell: tap[cell] - value for cell, value in cells.items() if cell in tap}
    cells_of = {task: _of(both, task) for task in tasks(both)} | ({"all": both} if both else {})
    return {
        name: replace(over_tasks(each), seeds=tuple(by_seed(each).values()))
        for name, each in cells_of.items()
    }


def ranks(rows: Mapping[str, Cells]) -> dict[str, float]:
    """Each row's rank, 1 for the best, averaged over the tasks; equal ones share theirs.

    Over the cells that all rows have; empty if there are none.
    """
    shared = set.intersection(*(set(cells) for cells in rows.values())) if rows else set()
    places: dict[str, list[float]] = {name: [] for name in rows}
    for task in sorted({task for task, _, _ in shared}):
        cells = sorted(cell for cell in shared if cell[0] == task)
        means = {name: float(np.mean([row[c] for c in cells])) for name, row in rows.items()}
        for name, mean in means.items():
            better = sum(other > mean for other in means.values())
            same = sum(other == mean for other in means.values())
            places[name].append(better + (same + 1) / 2)
    return {name: sum(each) / len(each) for name, each in places.items() if each}


def gains(cells: Cells, local: Cells) -> dict[tuple[str, str], Estimate]:
    """What each client gains on each task over training alone, from the greatest to the least.

    Means over seeds, each with the least and the greatest of a seed.
    """
    found: dict[tuple[str, str], list[float]] = {}
    for (task, client, seed), value in cells.items():
        if (task, client, seed) in local:
            found.setdefault((client, task), []).append(value - local[task, client, seed])
    each = {who: Estimate(sum(v) / len(v), min(v), max(v), len(v)) for who, v in found.items()}
    return dict(sorted(each.items(), key=lambda item: (-item[1].mean, item[0])))


def verdicts(gained: Iterable[Estimate]) -> dict[str, int]:
    """How many are helped and hurt, by more than HURT, and how many are neither."""
    means = [round(each.mean, 9) for each in gained]
    helped, hurt = sum(mean > HURT for mean in means), sum(mean < -HURT for mean in means)
    return {"helped": helped, "hurt": hurt, "neither": len(means) - helped - hurt}


def tasks(cells: Cells) -> list[str]:
    """The tasks, sorted."""
    return sorted({task for task, _, _ in cells})


def seeds(cells: Cells) -> list[int]:
    """The seeds, sorted."""
    return sorted({seed for _, _, seed in cells})


def _of(cells: Cells, task: str) -> Cells:
    return {cell: value for cell, value in cells.items() if cell[0] == task}


def _over_tasks(cells: Cells) -> float:
    means = [np.mean(list(_of(cells, task).values())) for task in tasks(cells)]
    return float(np.mean(means))


def budgets(results: Iterable[Json]) -> dict[str, dict[str, float]]:
    """What a run of each method took, on average: steps, samples, bytes each way, seconds."""
    return {
        method: {name: sum(float(r[name]) for r in each.values()) / len(each) for name in BUDGET}
        for method, each in _by_method(results).items()
    }


def relative(results: Iterable[Json], base: str) -> dict[str, dict[str, float]]:
    """Budgets as multiples of a method's, over the seeds that both have; nothing of its zeros."""
    every = _by_method(results)
    of_base = every.get(base, {})
    found: dict[str, dict[str, float]] = {}
    for method, each in every.items():
        both = sorted(set(each) & set(of_base))
        for name in BUDGET:
            whole = sum(float(of_base[seed][name]) for seed in both)
            if whole:
                part = sum(float(each[seed][name]) for seed in both)
                found.setdefault(method, {})[name] = part / whole
    return found


def _by_method(results: Iterable[Json]) -> dict[str, dict[int, Json]]:
    """Runs by method, the paper's methods first, and by seed."""
    found: dict[str, dict[int, Json]] = {}
    for result in results:
        found.setdefault(result["run"]["method"], {})[int(result["run"]["seed"])] = result
    return {method: found[method] for method in sorted(found, key=_place)}
