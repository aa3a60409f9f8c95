"""Results as files for other programs: every score as CSV, every table of the page as JSON."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict

from intervals import Estimate
from parts import Cell, Section, Table
from tables import Json, namer

_RUN = ("family", "method", "seed", "margin", "k", "alone")
_SCORE = ("variant", "client", "on", "task", "metric", "value", "skill", "n", "loss")
HEADS = ("family", "skew", *_RUN[1:], "row", *_SCORE)


def scores_csv(results: Iterable[Json]) -> str:
    """A line for each score; `row` is its row in the page's tables, empty for none."""
    file = io.StringIO()
    writer = csv.DictWriter(file, HEADS, lineterminator="\n")
    writer.writeheader()
    for result in results:
        writer.writerows(_lines(result))
    return file.getvalue()


def _lines(result: Json) -> Iterator[Json]:
    run = result["run"]
    skew = "iid" if run["alpha"] is None else f"dirichlet-{run['alpha']}"
    there: dict[tuple[str, str], set[str]] = {}
    for score in result["scores"]:
        there.setdefault((score["on"], score["client"][0]), set()).add(score["variant"])
    for score in result["scores"]:
        row = namer(run["method"], there[score["on"], score["client"][0]])(score["variant"])
        yield {
            "skew": skew,
            "row": row,
            **{name: run[name] for name in _RUN},
            **{name: score[name] for name in _SCORE},
        }


def tables_json(sections: Iterable[Section]) -> str:
    """Every table with its numbers as they are, by its key."""
    found = {
        part.key: {
            "section": section.title,
            "caption": part.caption,
            "source": section.source,
            "heads": list(part.heads),
            "rows": [[_plain(cell) for cell in row] for row in part.rows],
        }
        for section in sections
        for part in section.parts
        if isinstance(part, Table)
    }
    return json.dumps(found, indent=1, allow_nan=False) + "\n"


def _plain(cell: Cell) -> Mapping[str, float] | str | float | None:
    return asdict(cell) if isinstance(cell, Estimate) else cell
