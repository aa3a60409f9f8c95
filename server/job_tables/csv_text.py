"""Rows as CSV (RFC 4180): a header, and cells that no spreadsheet takes for a formula."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def header(columns: Sequence[str]) -> str:
    """The first line."""
    return _lines([columns])


def lines(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """A line for each row."""
    return _lines([cell(row[name]) for name in columns] for row in rows)


def cell(value: object) -> str:
    """The value as text; one that would begin a formula stands behind an apostrophe.

    What is absent is empty, several names stand between spaces.
    """
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case str():
            return f"'{value}" if value.startswith(_FORMULAS) else str(value)
        case tuple() | list():
            return cell(" ".join(value))
        case _:
            raise TypeError(f"{value!r} has no place in a table")


def _lines(cells: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(cells)
    return text.getvalue()
