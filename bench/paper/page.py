"""The results' page: `python bench/paper/page.py DIR...` writes it into the first of them.

It stands alone in one file, beside `scores.csv` and `tables.json`; what has no results yet says
which runs it waits for.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from comparison import methods
from costs import costs, replacements
from effects import benefits, distillation, options
from export import scores_csv, tables_json
from guards import guards
from intervals import Estimate
from parts import Cell, Figure, Part, Section, Table, runs, source
from sweeps import margins, numbers_of_tasks, skews
from tables import Json

STYLE = Path(__file__).with_name("page.css")
_SECTIONS: Sequence[Callable[[Sequence[Json], str], Section]] = (
    methods,
    distillation,
    replacements,
    margins,
    numbers_of_tasks,
    costs,
    benefits,
    skews,
    options,
    guards,
)
_HOW_TO_READ = """\
Skill is 0 for the best constant answer and 1 for a perfect model. A cell is one client's score \
on one task under one seed. A mean over tasks counts each task alike.
Intervals hold 95 % of 2,000 bootstrap resamples of clients (each under each seed, with all of \
its tasks); of a difference, of pairs of the same client, task and seed. Of fewer than six clients \
none is told. Clients of one federation depend on each other, so an interval says more of which \
clients were measured than of which federation: each seed's mean stands beside it, to show how far \
whole federations lie apart. Rows of fewer seeds than others are compared by the differences alone.
A triangle up or down marks a difference whose interval excludes 0.
"""


class ResultsError(Exception):
    """The results cannot be read as asked; the text says what to do."""


def publish(out: Path, results: Sequence[Json], command: str) -> None:
    """Write `index.html`, `scores.csv` and `tables.json` into the directory.

    command: what made the page; each result names what made it.
    """
    ordered = sorted(results, key=lambda result: json.dumps(result["run"], sort_keys=True))
    families = sorted({str(result["run"]["family"]) for result in ordered})
    sections = {family: [make(ordered, family) for make in _SECTIONS] for family in families}
    every = [section for of_family in sections.values() for section in of_family]
    out.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("index.html", html(sections, len(ordered), source(ordered), command)),
        ("scores.csv", scores_csv(ordered)),
        ("tables.json", tables_json(every)),
    ):
        (out / name).write_text(text, encoding="utf-8")


def html(sections: Mapping[str, Sequence[Section]], n_runs: int, made: str, command: str) -> str:
    """The whole page."""
    title = "TAP and its baselines on public data"
    contents = "".join(
        f"<li>{escape(family)}: "
        + " · ".join(f'<a href="#{escape(s.key)}">{escape(s.title)}</a>' for s in of_family)
        + "</li>"
        for family, of_family in sections.items()
    )
    bodies = "".join(
        f'<section aria-label="{escape(family)}"><h2>{escape(family)}</h2>'
        f"{''.join(_section(s, command) for s in of_family)}</section>"
        for family, of_family in sections.items()
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title}</title><style>{STYLE.read_text(encoding='utf-8')}</style></head>\n"
        f"<body><main><h1>{title}</h1><p>{_said(made) or 'No runs yet.'}</p>"
        f'<nav aria-label="Contents"><ul>{contents}</ul></nav>'
        "<details open><summary>How to read it</summary>"
        f"{_paragraphs(_HOW_TO_READ.splitlines())}</details>\n"
        f"{bodies}<footer><p>{runs(n_runs)}; page made by {_said(f'`{command}`')}. Numbers: "
        '<a href="scores.csv">scores.csv</a>, <a href="tables.json">tables.json</a>.</p>'
        "</footer></main></body></html>\n"
    )


def _section(section: Section, command: str) -> str:
    made = section.source + (f"; shown by `{command}`" if section.source else "")
    return (
        f'<section id="{escape(section.key)}"><h3>{escape(section.title)}</h3>'
        f"{_paragraphs([section.text])}"
        f"{''.join(_part(part, made) for part in section.parts)}</section>\n"
    )


def _part(part: Part, made: str) -> str:
    match part:
        case Table():
            return _table(part, made)
        case Figure():
            return (
                f'<figure id="{escape(part.key)}">'
                f'<div class="drawing" role="img" aria-label="{escape(part.alternative)}">'
                f"{part.svg}</div>"
                f"<figcaption>{_caption(part.caption, made)}</figcaption></figure>\n"
            )
        case str():
            return f'<p class="waits">{escape(part)}</p>\n'


def _table(table: Table, made: str) -> str:
    key = escape(table.key)
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in table.heads)
    body = "".join(
        f'<tr><th scope="row">{_cell(row[0], None)}</th>'
        + "".join(f"<td>{_cell(cell, table.says)}</td>" for cell in row[1:])
        + "</tr>\n"
        for row in table.rows
    )
    whole = (
        f'<div class="wide" role="region" tabindex="0" aria-labelledby="{key}-caption">'
        f'<table id="{key}"><caption id="{key}-caption">'
        f"<span>{_caption(table.caption, made)}</span></caption>"
        f"<thead><tr>{heads}</tr></thead>\n<tbody>{body}</tbody></table></div>\n"
    )
    if table.folded:
        return f"<details><summary>{escape(table.caption)}</summary>{whole}</details>\n"
    return whole


def _cell(cell: Cell, says: tuple[str, str] | None) -> str:
    match cell:
        case None:
            return "-"
        case str():
            return escape(cell)
        case int():
            return f"{cell:,}"
        case float():
            return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.3f}"
        case Estimate():
            return _estimate(cell, says)


def _estimate(of: Estimate, says: tuple[str, str] | None) -> str:
    """A mean above its interval; of a difference also what it says."""
    sign = "+" if says else ""
    mean = f"{of.mean:{sign}.3f}"
    if of.few:
        return f"{mean}<small>{of.n} {'cell' if of.n == 1 else 'cells'}</small>"
    between = f"<small>{of.low:{sign}.3f} to {of.high:{sign}.3f}</small>"
    if says is None or not of.sign:
        return mean + between
    return f"{mean}{between}<b>{'▲' if of.sign > 0 else '▼'} {escape(says[of.sign < 0])}</b>"


def _caption(text: str, made: str) -> str:
    return f"{escape(text)} <small>{_said(made)}.</small>"


def _said(text: str) -> str:
    """Escaped, with what stands between backquotes as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{p}</code>" if n % 2 else p for n, p in enumerate(parts))


def _paragraphs(texts: Iterable[str]) -> str:
    return "".join(f"<p>{escape(text)}</p>" for text in texts)


def read(folders: Iterable[Path]) -> list[Json]:
    """All results of the folders. Raises ResultsError."""
    found: dict[str, tuple[Path, Json]] = {}
    for folder in folders:
        for path in sorted((folder / "runs").glob("*.json")):
            try:
                result = json.loads(path.read_bytes())
                run = json.dumps(result["run"], sort_keys=True)
            except (ValueError, KeyError, TypeError) as error:
                raise ResultsError(f"{path} is no result: move it away, or run it again") from error
            if run in found:
                raise ResultsError(
                    f"{path} and {found[run][0]} are the same run: name one of their directories"
                )
            found[run] = (path, result)
    if not found:
        raise ResultsError("there are no results: make some by bench/paper/paper.py first")
    return [result for _, result in found.values()]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="it has DIR/runs")
    folders = parser.parse_args().folders
    command = shlex.join(["python", "bench/paper/page.py", *map(str, folders)])
    try:
        publish(folders[0], read(folders), command)
    except ResultsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(folders[0] / "index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
