"""The page's sections on what is varied: margins, the number of tasks, how skewed the data are."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median

import decisions
import plots
from comparison import to_tap
from intervals import Estimate
from parts import Cell, Figure, Part, Section, Table, headed, in_words, kinds, source, waits
from tables import (
    TAP,
    Cells,
    Json,
    by_task,
    chosen,
    differences,
    over_tasks,
    rows_of,
    seeds,
    server_cells,
    tasks,
    values_of,
)

_AUTO = "tap-auto"
_PAPERS, _ITS_OWN = "the paper's margins", "auto margins"


def margins(results: Sequence[Json], family: str) -> Section:
    """One margin for all tasks, from small to large."""
    key, at = f"{family}-margins", values_of(results, family, "margin")
    swept = {
        f"{margin:g}": chosen(results, family=family, method=TAP, margin=margin) for margin in at
    }
    beside = {
        _PAPERS: chosen(results, family=family, method=TAP),
        _ITS_OWN: chosen(results, family=family, method=_AUTO),
    }
    every = {name: used for name, used in {**swept, **beside}.items() if used}
    parts: list[Part] = []
    if swept:
        parts = [_margin_figure(f"{key}-figure", swept, beside), *_margin_tables(key, every)]
    absent = [
        *([] if swept else ["tap with a margin of its own"]),
        *(method for method, name in ((TAP, _PAPERS), (_AUTO, _ITS_OWN)) if name not in every),
    ]
    parts += [waits(" and of ".join(absent), family)] if absent else []
    text = (
        "Claim 4: lower margins mean more replacements, and help tasks with images. One margin is "
        "set for all tasks; the paper's, and those that the clients choose, stand beside them."
    )
    used = [result for each in every.values() for result in each] if swept else []
    return Section(key, "Margins", text, parts, source(used))


def _margin_figure(
    key: str, swept: Mapping[str, Sequence[Json]], beside: Mapping[str, Sequence[Json]]
) -> Figure:
    skills = {name: over_tasks(_last(used)) for name, used in swept.items() if _last(used)}
    shares = {name: each for name, used in swept.items() if (each := _share(used))}
    panels = [
        plots.Panel(
            "mean skill over tasks, own data",
            {"one margin": skills},
            {name: over_tasks(_last(used)) for name, used in beside.items() if _last(used)},
        ),
        plots.Panel(
            "share of chances taken",
            {"one margin": shares},
            {name: each for name, used in beside.items() if (each := _share(used))},
        ),
    ]
    said = in_words({"skill by margin": skills, "share of chances taken": shares})
    title = "Skill on own data, and the share of chances to replace that were taken, by margin."
    return Figure(key, title, said, plots.lines(key, panels, "margin"))


def _share(used: Sequence[Json]) -> Estimate | None:
    """The share of the chances that were taken, as a point."""
    found = decisions.count(used)
    return (
        None if found.rate is None else Estimate(found.rate, found.rate, found.rate, found.chances)
    )


def _last(used: Sequence[Json]) -> Cells:
    """What runs of one method of TAP end with, on own data."""
    rows = rows_of(used, "own", "c")
    return next((cells for name, cells in rows.items() if name in {TAP, _AUTO}), {})


def _margin_tables(key: str, every: Mapping[str, Sequence[Json]]) -> list[Part]:
    rows = {name: cells for name, used in every.items() if (cells := _last(used))}
    columns = tasks({cell: value for cells in rows.values() for cell, value in cells.items()})
    body: list[list[Cell]] = []
    for name, cells in rows.items():
        found, count = by_task(cells), decisions.count(every[name])
        means = [over_tasks(cells), *(found.get(task) for task in columns)]
        body.append([name, count.rate, count.chances, *means, len(seeds(cells))])
    kind = kinds([result for used in every.values() for result in used])
    heads = ["margin", "share taken", "chances", "mean over tasks", *headed(columns, kind), "seeds"]
    table = Table(f"{key}-table", "Replacements and skill on own data by margin.", heads, body)
    if _PAPERS not in rows:
        return [table]
    caption = "Skill with the paper's margins less that with the row's, own data."
    others = {name: cells for name, cells in rows.items() if name != _PAPERS}
    less = to_tap(f"{key}-difference", caption, {**others, TAP: rows[_PAPERS]})
    says = ("the paper's better", "the paper's worse")
    return [table, replace(less, says=says)] if less else [table]


def numbers_of_tasks(results: Sequence[Json], family: str) -> Section:
    """The server's model as tasks are added while the data stay as many."""
    key = f"{family}-k"
    ks, alone = (values_of(results, family, name) for name in ("k", "alone"))
    of_family = [result for result in results if result["run"]["family"] == family]
    used = [r for r in of_family if r["run"]["k"] or r["run"]["alone"]]
    parts: list[Part] = [] if ks else [waits("a sweep of K", family)]
    parts += [] if alone else [waits("the controls of a sweep of K, one task by itself", family)]
    for method in sorted({result["run"]["method"] for result in used}):
        of = [result for result in used if result["run"]["method"] == method]
        together = {k: server_cells(chosen(of, k=k)) for k in ks}
        by_itself = {k: server_cells(chosen(of, alone=k)) for k in alone}
        parts += _of_k(f"{key}-{method}", method, _some(together), _some(by_itself), kinds(of))
    text = (
        "Claim 5: the server's model serves each task worse as the number K of tasks grows, all "
        "data together held as many. A task's own share of the data falls with K, so beside it "
        "stands the same share of it by itself, with no other task: only what lies between the two "
        "comes from the other tasks. A cell is a task and a seed: intervals are of seeds alone."
    )
    return Section(key, "Number of tasks", text, parts, source(used))


def _some(found: Mapping[int, Cells]) -> dict[int, Cells]:
    return {k: cells for k, cells in found.items() if cells}


def _of_k(
    key: str,
    method: str,
    together: Mapping[int, Cells],
    by_itself: Mapping[int, Cells],
    behind: Mapping[str, str],
) -> list[Part]:
    every = {cell for cells in (*together.values(), *by_itself.values()) for cell in cells}
    columns = sorted({task for task, _, _ in every})
    if not columns:
        return []
    named = {"together": together, "one by itself": by_itself}
    panels = [plots.Panel(task, _lines(task, named)) for task in columns]
    said = ". ".join(f"{panel.title}, by K: {in_words(panel.series)}" for panel in panels)
    title = f"Skill of {method}'s server's model on each task's whole test set, by K."
    body: list[list[Cell]] = []
    for name, found in named.items():
        for k, cells in found.items():
            means, n = by_task(cells), len(seeds(cells))
            body.append([f"K {k}, {name}", *(means.get(task) for task in columns), n, len(cells)])
    table = Table(key, title, ["run", *headed(columns, behind), "seeds", "cells"], body)
    drawn = plots.lines(f"{key}-figure", panels, "K")
    parts: list[Part] = [Figure(f"{key}-figure", title, said, drawn), table]
    apart = {k: differences(by_itself[k], cells) for k, cells in together.items() if k in by_itself}
    less: list[list[Cell]] = [[f"K {k}", e["all"], e["all"].n] for k, e in apart.items() if e]
    if less:
        caption = f"{method}: skill with the other tasks less skill by itself, on as much data."
        says = ("better together", "better alone")
        heads = ["run", "difference", "pairs"]
        parts.append(Table(f"{key}-apart", caption, heads, less, says))
    return parts


def _lines(task: str, named: Mapping[str, Mapping[int, Cells]]) -> dict[str, dict[str, Estimate]]:
    """A task's estimates by K, of each line that has any."""
    found = {
        name: {str(k): means[task] for k, c in cells.items() if task in (means := by_task(c))}
        for name, cells in named.items()
    }
    return {name: each for name, each in found.items() if each}


def skews(results: Sequence[Json], family: str) -> Section:
    """Methods by how unlike clients' data are."""
    key, alphas = f"{family}-skew", values_of(results, family, "alpha")[::-1]
    divisions = {"IID": None, **{f"Dirichlet {alpha:g}": alpha for alpha in alphas}}
    used = {name: chosen(results, family=family, alpha=a) for name, a in divisions.items()}
    skewed = {r["run"]["method"] for name, each in used.items() if name != "IID" for r in each}
    used = {n: [r for r in each if r["run"]["method"] in skewed] for n, each in used.items()}
    parts: list[Part] = [waits("methods on Dirichlet label skew", family)]
    if alphas:
        views = (("own", "own data"), ("whole", "the tasks' whole test sets"))
        parts = [part for on, title in views for part in _skew(f"{key}-{on}", used, on, title)]
    text = (
        "Clients of a pattern have the same shares of classes (IID), or shares drawn from a "
        "Dirichlet distribution: the smaller its parameter, the less alike."
    )
    return Section(
        key, "Label skew", text, parts, source(r for each in used.values() for r in each)
    )


def _skew(key: str, used: Mapping[str, Sequence[Json]], on: str, title: str) -> list[Part]:
    found = {name: rows_of(each, on, "c") for name, each in used.items()}
    rows = list(dict.fromkeys(row for each in found.values() for row in each))
    if not rows:
        return []
    series = {
        row: {name: over_tasks(each[row]) for name, each in found.items() if row in each}
        for row in rows
    }
    said = in_words(series)
    caption = f"Mean skill over tasks on {title}, by division of the data."
    body: list[list[Cell]] = []
    for row in rows:
        runs = (f"{name}: {len(seeds(each[row]))}" for name, each in found.items() if row in each)
        body.append([row, *(series[row].get(name) for name in found), "; ".join(runs)])
    drawn = plots.lines(f"{key}-figure", [plots.Panel("", series)], "division")
    middles: list[list[Cell]] = [
        [row, *(median(each[row].values()) if row in each else None for each in found.values())]
        for row in rows
    ]
    middle = (
        f"Median skill of cells on {title}: where one class is nearly all of a client's samples, "
        "the constant answer is nearly perfect, and a single cell can be far below 0."
    )
    less = [
        to_tap(f"{key}-{place}-difference", f"{name}, {title}: TAP's skill less the row's.", each)
        for place, (name, each) in enumerate(found.items())
        if place  # those of IID are the methods' own
    ]
    return [
        Figure(f"{key}-figure", caption, said, drawn),
        Table(key, caption, ["row", *found, "seeds"], body),
        *(table for table in less if table),
        Table(f"{key}-median", middle, ["row", *found], middles, folded=True),
    ]
