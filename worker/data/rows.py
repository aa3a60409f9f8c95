"""The rows of a split: JSON lines, each checked against what its task reads."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn


class DataError(Exception):
    """A client's data cannot be used; one sentence with file, line, what is wrong and the remedy.

    The sentence travels to the server, so it never quotes a text of the data.
    """


@dataclass(frozen=True, slots=True)
class Needs:
    """What a task reads of each row."""

    fields: tuple[str, ...]
    classes: tuple[str, ...]  # empty when the task does not classify
    domains: tuple[str, ...]  # a row that names none belongs to the only one


@dataclass(frozen=True, slots=True)
class Row:
    """One sample as written; fields that the task does not read are empty."""

    line: int  # from 1
    domain: str
    image: str = ""
    text: str = ""
    label: str = ""
    target: str = ""


def read_rows(path: Path, place: str, needs: Needs) -> tuple[Row, ...]:
    """All rows of a file, called `place` in errors. Raises DataError; also for an empty file."""
    try:
        rows = tuple(_rows(path, place, needs))
    except OSError as error:
        raise DataError(
            f"{place}: cannot be read ({error.strerror}); correct the path in the client file"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{place}: is not UTF-8 text; save it as UTF-8") from error
    if not rows:
        raise DataError(f"{place}: has no samples; add at least one or remove the task")
    return rows


def _rows(path: Path, place: str, needs: Needs) -> Iterator[Row]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _row(line, number, f"{place} line {number}", needs)


def _row(line: str, number: int, place: str, needs: Needs) -> Row:
    data = _object(line, place)
    values = {field: _text(data, field, place) for field in needs.fields}
    if "label" in values and values["label"] not in needs.classes:
        _refuse(
            place,
            f"label {_short(values['label'])} is not one of the classes "
            f"{_short(', '.join(needs.classes))}",
            "correct the label or the task's classes",
        )
    return Row(line=number, domain=_domain(data, place, needs.domains), **values)


def _object(line: str, place: str) -> dict[str, object]:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: is not valid JSON; correct the line") from error
    if not isinstance(data, dict):
        _refuse(place, "is not a JSON object", 'write one, such as {"text": "..."}')
    return data


def _domain(data: dict[str, object], place: str, domains: tuple[str, ...]) -> str:
    if "domain" not in data and len(domains) == 1:
        return domains[0]
    domain = _text(data, "domain", place)
    if domain not in domains:
        _refuse(
            place,
            f"domain {_short(domain)} is not one of {_short(', '.join(domains))}",
            "correct the domain or the task's domains",
        )
    return domain


def _text(data: dict[str, object], field: str, place: str) -> str:
    if field not in data:
        _refuse(place, f"{field} is missing", "add it")
    value = data[field]
    if not isinstance(value, str):
        _refuse(place, f"{field} is not text", "write it in quotes")
    if not value.strip():
        _refuse(place, f"{field} is empty", "fill it in or remove the line")
    if "\0" in value or (not value.isascii() and _has_lone_surrogate(value)):
        _refuse(place, f"{field} holds characters that are no text", "remove them")
    return value


def _has_lone_surrogate(value: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in value)


def _refuse(place: str, wrong: str, remedy: str) -> NoReturn:
    raise DataError(f"{place}: {wrong}; {remedy}")


def _short(value: str) -> str:
    return repr(value if len(value) <= 80 else value[:77] + "...")
