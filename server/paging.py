"""Pages of lists: rows behind a place in a fixed order, and a cursor that names the place.

A cursor belongs to one list in one order: rows that come or change meanwhile shift nothing.
"""

import base64
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Query

from server.errors import ProblemError, invalid

T = TypeVar("T")
Place = tuple[str | int, ...]

Limit = Annotated[int, Query(ge=1, le=200, description="Most items in the answer.")]
Cursor = Annotated[
    str | None,
    Query(max_length=1000, description="`next` of the page before; absent for the first."),
]


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
    return value


def number(value: Any) -> int:
    """A number that Postgres takes for one of a row. Raises ValueError."""
    if type(value) is not int or abs(value) >= 2**31:
        raise ValueError(value)
    return value


def _foreign() -> ProblemError:
    return invalid(["cursor: is none of this list in this order; begin without one"])
