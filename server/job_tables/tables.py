"""A job's tables: where their rows come from, and what orders them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import column, select, text, tuple_
from sqlalchemy.orm import Session

from server.job_tables import statements
from server.job_tables.asked import Wanted
from server.job_tables.components import component_rows
from server.paging import Place
from server.reports.service import exchanges
from server.rounds.views import component_sizes
from server.specs import spec_of
from server.tables import Job
from shared.job_tables import TABLES, Table

Row = Mapping[str, Any]
Rows = Callable[[Session, Job, Wanted, Place, int], Sequence[Row]]
Told = Callable[[Job], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a table's rows come from: those behind a place, at most so many.

    `start` has the columns that order them, with the place before all rows.
    """

    name: str
    rows: Rows
    start: Mapping[str, str | int]
    columns: tuple[str, ...]

    @property
    def page(self) -> type[Table]:
        """A page of it."""
        return TABLES[self.name]

    @property
    def beginning(self) -> Place:
        """The place before all rows."""
        return tuple(self.start.values())

    def place(self, row: Row) -> Place:
        """Where a page ends with that row."""
        return tuple(row[column] for column in self.start)


def _nothing(_: Job) -> Mapping[str, str]:
    return {}


def _source(
    name: str,
    statement: str,
    start: Mapping[str, str | int],
    columns: tuple[str, ...],
    told: Told = _nothing,
) -> Source:
    """The rows of a statement, which is told something of the job besides.

    The first column of the place is compared by itself as well, so that Postgres need not look at
    what comes before it. What is not asked for is no condition: a plan for any question is bad.
    """
    names = dict.fromkeys((*start, *columns))
    found = text(statement).columns(*map(column, names)).subquery("found")
    place = [found.c[each] for each in start]

    def rows(session: Session, job: Job, wanted: Wanted, behind: Place, most: int) -> Sequence[Row]:
        query = select(found).where(place[0] >= behind[0], tuple_(*place) > tuple_(*behind))
        for each, value in wanted.conditions:
            query = query.where(found.c[each] == value)
        for each, least in wanted.above:
            query = query.where(found.c[each] > least)
        query = query.order_by(*place).limit(most)
        given = {"job": job.id, **told(job)}
        return [row._asdict() for row in session.execute(query, given)]

    return Source(name, rows, start, columns)


def _sets(job: Job) -> Mapping[str, str]:
    """The components of each task."""
    spec = spec_of(job)
    sets = {
        name: {str(component): None for component in task.components(name, spec.model.layers)}
        for name, task in spec.tasks.items()
    }
    return {"sets": json.dumps(sets)}


def _costs(job: Job) -> Mapping[str, str]:
    """What full state dicts cost, and how often a phase would send them."""
    times = exchanges(spec_of(job))
    return {"sizes": json.dumps(component_sizes(job)), "times": json.dumps(times)}


_BY_ROUND: Mapping[str, str | int] = {"round": 0, "client": "", "task": ""}

LOSSES = _source(
    "losses",
    statements.LOSSES,
    _BY_ROUND,
    ("round", "client", "task", "engaged", "personal"),
)
REPLACEMENTS = _source(
    "replacements",
    statements.REPLACEMENTS,
    _BY_ROUND,
    (
        "round",
        "client",
        "task",
        "engaged_loss",
        "personal_loss",
        "margin",
        "replaced",
        "components",
    ),
    _sets,
)
CONTRIBUTIONS = _source(
    "contributions",
    statements.CONTRIBUTIONS,
    {"version": 0, "component": "", "client": ""},
    ("version", "component", "client", "weight", "norm"),
)
COMPONENTS = Source(
    "components",
    component_rows,
    {"component": ""},
    ("component", "n_bytes", "n_changes", "last_changed", "last_contributors", "clients"),
)
TRAFFIC = _source(
    "traffic",
    statements.TRAFFIC,
    {"turn": 0, "round": 0},
    (
        "phase", "round", "state", "asked", "accepted",
        "bytes_down", "bytes_up", "bytes_full_exchange", "opened_at", "seconds",
    ),
    _costs,
)  # fmt: skip
SCORES = _source(
    "scores",
    statements.SCORES,
    {"client": "", "task": "", "variant": "", "metric": ""},
    (
        "client", "task", "kind", "variant", "metric",
        "value", "lower", "upper", "skill", "n", "of",
    ),
)  # fmt: skip
