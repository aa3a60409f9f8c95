"""Pages of lists: rows behind a place in one order, and a cursor that names the place.

A cursor belongs to one list in one order: rows that come or change meanwhile shift nothing.
"""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Generic, Protocol, TypeVar

from fastapi import Query
from sqlalchemy import Select, literal, tuple_

from server.errors import ProblemError, invalid

T = TypeVar("T")
Q = TypeVar("Q", bound=Select[*tuple[Any, ...]])
Place = tuple[str | int, ...]

Limit = Annotated[int, Query(ge=1, le=200, description="Most items in the answer.")]
Cursor = Annotated[
    str | None,
    Query(max_length=1000, description="`next` of the page before; absent for the first."),
]
AfterRound = Annotated[
    int | None, Query(ge=0, le=2**31 - 1, description="Rounds after this one only.")
]
SORT = "By what, with a minus from the greatest on."


@dataclass(frozen=True)
class Column(Generic[T]):
    """What rows are sorted by: in a query, of a row, and read from a cursor (else ValueError)."""

    sql: Any
    of: Callable[[T], str | int]
    read: Callable[[Any], Any]


def moments(sql: Any, of: Callable[[T], datetime]) -> Column[T]:
    """A column of points in time."""
    return Column(sql, lambda row: of(row).isoformat(), datetime.fromisoformat)


class Behind(Protocol):
    """The rows of a query in one order, from one place on."""

    def __call__(self, query: Q) -> Q:
        """That query, so ordered and narrowed."""


class Order(Generic[T]):
    """A list sorted by columns of which the last tells its rows apart; a minus: from the end on."""

    def __init__(self, of: str, sort: str, *columns: Column[T]) -> None:
        self._name, self._falls, self._columns = f"{of} {sort}", sort.startswith("-"), columns

    def behind(self, cursor: str | None = None) -> Behind:
        """What puts a query of such rows in order, behind a place. Raises ProblemError (422)."""
        place = place_of(cursor, self._name, *(column.read for column in self._columns))
        return partial(self._sorted, place=place)

    def _sorted(self, query: Q, place: Place | None) -> Q:
        columns = [column.sql for column in self._columns]
        if place is not None:
            row, last = tuple_(*columns), tuple_(*map(literal, place))
            query = query.where(row < last if self._falls else row > last)
        return query.order_by(*(each.desc() if self._falls else each for each in columns))

    def cut(self, rows: Sequence[T], limit: int) -> tuple[Sequence[T], str | None]:
        """A page of rows of which one more than `limit` was asked for, and the next's cursor."""
        return cut(rows, limit, self._name, lambda row: tuple(c.of(row) for c in self._columns))


def cut(
    rows: Sequence[T], limit: int, order: str, place: Callable[[T], Place]
) -> tuple[Sequence[T], str | None]:
    """A page of rows of which one more than `limit` was asked for, and the cursor of the next."""
    if len(rows) <= limit:
        return rows, None
    text = json.dumps([order, *place(rows[limit - 1])])
    return rows[:limit], base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def place_of(cursor: str | None, order: str, *read: Callable[[Any], Any]) -> tuple[Any, ...] | None:
    """Where a page ended that was in this order, each of its values read by one of these.

    Raises ProblemError (422).
    """
    if cursor is None:
        return None
    padded = cursor + "=" * (-len(cursor) % 4)
    try:
        found: Any = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
        if not isinstance(found, list) or found[0] != order:
            raise _foreign()
        return tuple(each(value) for each, value in zip(read, found[1:], strict=True))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise _foreign() from error


def text(value: Any) -> str:
    """A text that Postgres takes. Raises ValueError."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(value)
    value.encode()  # half of a surrogate pair is no text
    return value


def number(value: Any) -> int:
    """A number that Postgres takes for one of a row. Raises ValueError."""
    if type(value) is not int or abs(value) >= 2**63:
        raise ValueError(value)
    return value


def _foreign() -> ProblemError:
    return invalid(["cursor: is none of this list in this order; begin without one"])
