"""A job's tables: where their rows come from, and what orders them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, column, select, true, tuple_
from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from server.job_tables import statements
from server.job_tables.asked import Wanted
from server.job_tables.components import component_rows
from server.paging import Place, number, text
from server.rounds.views import component_sizes, exchanges
from server.specs import spec_of
from server.tables import Job
from shared.job_tables import TABLES, Table

Row = Mapping[str, Any]
Rows = Callable[[Session, Job, Wanted, Place | None, int], Sequence[Row]]
_Order = Mapping[str, Callable[[Any], str | int]]
Told = Callable[[Job], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a table's rows come from: those behind a place, at most so many.

    `order` has the columns that order them, and what reads each from a cursor.
    """

    name: str
    rows: Rows
    order: _Order
    columns: tuple[str, ...]

    @property
    def page(self) -> type[Table]:
        """A page of it."""
        return TABLES[self.name]

    def place(self, row: Row) -> Place:
        """Where a page ends with that row."""
        return tuple(row[column] for column in self.order)


def _nothing(_: Job) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class _Besides:
    """What a statement is told besides the job, and what is summed of the rows of a page alone."""

    told: Told = _nothing
    sums: str = ""  # of one row of `page`
    summed: tuple[str, ...] = ()  # their columns


def _source(
    name: str,
    statement: str,
    order: _Order,
    columns: tuple[str, ...],
    besides: _Besides = _Besides(),
) -> Source:
    """The rows of a statement, which is told something of the job besides.

    The first column of the place is compared by itself as well, so that Postgres need not look at
    what comes before it. What is not asked for is no condition: a plan for any question is bad.
    """
    names = (each for each in dict.fromkeys((*order, *columns)) if each not in besides.summed)
    found = sql(statement).columns(*map(column, names)).subquery("found")
    place = [found.c[each] for each in order]

    def rows(
        session: Session, job: Job, wanted: Wanted, behind: Place | None, most: int
    ) -> Sequence[Row]:
        query = select(found)
        if behind is not None:
            query = query.where(*_past(place, behind, falls=wanted.falls))
        for each, value in wanted.conditions:
            query = query.where(found.c[each] == value)
        for each, least in wanted.above:
            query = query.where(found.c[each] > least)
        query = query.order_by(*_sorted(place, falls=wanted.falls)).limit(most)
        if besides.sums:
            query = _with_sums(query, besides, order, falls=wanted.falls)
        given = {"job": job.id, **besides.told(job)}
        return [row._asdict() for row in session.execute(query, given)]

    return Source(name, rows, order, columns)


def _with_sums(
    rows: Select[*tuple[Any, ...]], besides: _Besides, order: _Order, *, falls: bool
) -> Select[*tuple[Any, ...]]:
    """A page of rows, each with its sums: made of no others than those of the page."""
    page = rows.subquery("page")
    sums = sql(besides.sums).columns(*map(column, besides.summed)).lateral("sums")
    place = [page.c[each] for each in order]
    return select(page, sums).join(sums, true()).order_by(*_sorted(place, falls=falls))


def _sorted(columns: Sequence[ColumnElement[Any]], *, falls: bool) -> Sequence[ColumnElement[Any]]:
    return [each.desc() if falls else each for each in columns]


def _past(
    columns: Sequence[ColumnElement[Any]], place: Place, *, falls: bool
) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    first, row, last = columns[0], tuple_(*columns), tuple_(*place)
    return (first <= place[0], row < last) if falls else (first >= place[0], row > last)


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


_BY_ROUND: _Order = {"round": number, "client": text, "task": text}

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
    _Besides(_sets),
)
CONTRIBUTIONS = _source(
    "contributions",
    statements.CONTRIBUTIONS,
    {"version": number, "component": text, "client": text},
    ("version", "component", "client", "weight", "norm"),
)
COMPONENTS = Source(
    "components",
    component_rows,
    {"component": text},
    ("component", "n_bytes", "n_changes", "last_changed", "last_contributors", "clients"),
)
TRAFFIC = _source(
    "traffic",
    statements.TRAFFIC,
    {"turn": number, "round": number},
    (
        "phase", "round", "state", "asked", "accepted",
        "bytes_down", "bytes_up", "bytes_full_exchange", "opened_at", "seconds",
    ),
    _Besides(
        _costs,
        statements.TRAFFIC_SUMS,
        ("asked", "accepted", "bytes_down", "bytes_up", "bytes_full_exchange"),
    ),
)  # fmt: skip
SCORES = _source(
    "scores",
    statements.SCORES,
    {"client": text, "task": text, "variant": text, "metric": text},
    (
        "client", "task", "kind", "variant", "metric",
        "value", "lower", "upper", "skill", "n", "of",
    ),
)  # fmt: skip
