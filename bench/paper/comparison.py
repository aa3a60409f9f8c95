"""The page's section that compares methods, and the tables it shares with other comparisons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plots
from intervals import Estimate, over_seeds
from parts import (
    Cell,
    Figure,
    Part,
    Section,
    Table,
    headed,
    in_words,
    kinds,
    metrics,
    source,
    waits,
)
from tables import (
    PAPER,
    TAP,
    Cells,
    Json,
    by_seed,
    by_task,
    chosen,
    differences,
    over_tasks,
    ranks,
    rows_of,
    seeds,
    tasks,
)


@dataclass(frozen=True)
class _View:
    """Whose scores, on which test samples."""

    name: str
    on: str
    clients: str
    of: str


_VIEWS = (
    _View("personalization", "own", "c", "participants on their own held-out data"),
    _View("generalization", "whole", "c", "participants on the tasks' whole test sets"),
    _View("newcomers", "own", "n", "clients that took no part, on their own held-out data"),
    _View("newcomers, whole", "whole", "n", "clients that took no part, on whole test sets"),
)
_MARKED = "Marked: the interval over clients excludes 0, and no seed points the other way."
_TAP_OR = ("TAP better", "TAP worse")
ABOVE = "Right of 0 TAP is better; an interval that crosses 0 decides nothing."


def methods(results: Sequence[Json], family: str) -> Section:
    """Each method's models on each task, and their differences to TAP."""
    plain = chosen(results, family=family)
    parts: list[Part] = [_overview(plain, family)]
    for view in _VIEWS:
        parts += _view(plain, family, view)
    return Section(
        f"{family}-methods",
        "Methods on tasks",
        "Claim 1: TAP has the best average over tasks, and gains most where modalities meet. "
        "A row is a model that a run ends with, before and after stage two where it says so. A "
        "model that all clients share has one score for all of them on a whole test set: there its "
        "interval tells seeds apart alone, and is too narrow.",
        parts,
        source(plain),
    )


def _overview(plain: Sequence[Json], family: str) -> Part:
    series = {}
    for view in _VIEWS:
        found = all_differences(rows_of(plain, view.on, view.clients))
        if found:
            series[view.name] = {name: each["all"] for name, each in found.items()}
    if not series:
        return waits("tap", family)
    key = f"{family}-methods-overview"
    drawn = plots.forest(key, series, "TAP's skill less the row's, mean over tasks")
    title = f"TAP less each other row, over all tasks. {ABOVE}"
    return Figure(key, title, in_words(series, "+.3f"), drawn)


def all_differences(
    rows: Mapping[str, Cells], others: Sequence[str] | None = None
) -> dict[str, dict[str, Estimate]]:
    """TAP's differences to other rows, to those that have cells in common with it."""
    each = {
        name: differences(rows[name], rows[TAP])
        for name in (others if others is not None else rows)
        if name != TAP and name in rows and TAP in rows
    }
    return {name: found for name, found in each.items() if found}


def _view(plain: Sequence[Json], family: str, view: _View) -> list[Part]:
    rows, key = rows_of(plain, view.on, view.clients), f"{family}-methods-{view.clients}-{view.on}"
    title = f"{view.name[0].upper()}{view.name[1:]}, {view.of}"
    if not rows:
        return [waits(f"any method with {view.of}", family)]
    values = rows_of(plain, view.on, view.clients, "value")
    parts: list[Part] = [
        skills(f"{key}-skill", f"{title}: skill.", rows, kinds(plain)),
        _values(f"{key}-value", f"{title}: each task's metric.", values, metrics(plain)),
    ]
    table = to_tap(f"{key}-difference", f"{title}: TAP's skill less the row's.", rows)
    parts += [table] if table else []
    absent = [name for name in PAPER if name not in rows]
    return [*parts, waits(", ".join(absent), family)] if absent else parts


def skills(
    key: str,
    caption: str,
    rows: Mapping[str, Cells],
    behind: Mapping[str, str],
    *,
    ranked: bool = True,
) -> Table:
    """Rows by tasks, with ranks, and what each row is a mean of."""
    columns, every = _columns(rows)
    places = _placed(rows) if ranked else {}
    if ranked:
        caption += " Ranks are averages over tasks, on the cells that all ranked rows have."
    body: list[list[Cell]] = [
        [
            name,
            over_tasks(cells),
            *(found.get(name) for found in places.values()),
            *_estimates(by_task(cells), columns),
            _seeds(cells, every),
            len(cells),
            *(by_seed(cells).get(seed) for seed in every),
        ]
        for name, cells in rows.items()
    ]
    ends = ["seeds", "cells", *(f"seed {seed}" for seed in every)]
    heads = ["row", "mean over tasks", *places, *headed(columns, behind), *ends]
    return Table(key, caption, heads, body)


def _placed(rows: Mapping[str, Cells]) -> dict[str, dict[str, float]]:
    """Ranks among the paper's rows, and among all."""
    papers = {name: cells for name, cells in rows.items() if name in PAPER}
    return {"rank, paper's": ranks(papers), "rank, all": ranks(rows)}


def _values(key: str, caption: str, rows: Mapping[str, Cells], behind: Mapping[str, str]) -> Table:
    columns, every = _columns(rows)
    body: list[list[Cell]] = [
        [name, *_estimates(by_task(cells), columns), _seeds(cells, every), len(cells)]
        for name, cells in rows.items()
    ]
    heads = ["row", *headed(columns, behind), "seeds", "cells"]
    return Table(key, caption, heads, body, folded=True)


def to_tap(
    key: str, caption: str, rows: Mapping[str, Cells], others: Sequence[str] | None = None
) -> Table | None:
    """Rows of differences to TAP; None if there are none."""
    found = all_differences(rows, others)
    columns = sorted({task for each in found.values() for task in each} - {"all"})
    body: list[list[Cell]] = [
        [
            name,
            each["all"],
            over_seeds(each["all"].seeds),
            " ".join(f"{mean:+.3f}" for mean in each["all"].seeds),
            *_estimates(each, columns),
            each["all"].n,
        ]
        for name, each in found.items()
    ]
    heads = ["row", "mean over tasks", "by seeds alone", "each seed", *columns, "pairs"]
    return Table(key, f"{caption} {_MARKED}", heads, body, _TAP_OR) if body else None


def _columns(rows: Mapping[str, Cells]) -> tuple[list[str], list[int]]:
    """All tasks and all seeds of the rows."""
    every = {cell: value for cells in rows.values() for cell, value in cells.items()}
    return tasks(every), seeds(every)


def _estimates(found: Mapping[str, Estimate], columns: Sequence[str]) -> list[Cell]:
    return [found.get(task) for task in columns]


def _seeds(cells: Cells, every: Sequence[int]) -> str:
    """How many of the seeds a row has."""
    n = len(seeds(cells))
    return str(n) if n == len(every) else f"{n} of {len(every)}"
