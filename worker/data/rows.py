"""The rows of a split, each checked against what its task reads."""

import hashlib
import math
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from worker.data.sources import DataError, Record, StoredImage, records, refuse

_NUMBERS = (int, float)
_LONGEST_NAME = 40  # of a label or a domain; what is longer may be a column of texts
RowField = Literal["image", "text", "label", "target", "domain"]
Refused = list[DataError]


@dataclass(frozen=True, slots=True)
class Needs:
    """What a task reads of each row."""

    fields: tuple[str, ...]
    classes: tuple[str, ...]  # empty when the task does not classify
    domains: tuple[str, ...]  # a row that names none belongs to the only one
    columns: Mapping[RowField, str] = field(default_factory=dict)  # names, or templates
    labels: Mapping[str, str] = field(default_factory=dict)  # as written -> class
    images: Path = Path()  # where the images' paths start
    group: str = ""  # a column whose equal values stay in one split; else the sample itself
    root: Path = Path()  # the client's directory; its data are the same wherever it lies


@dataclass(frozen=True, slots=True)
class Row:
    """One sample as written; fields that the task does not read are empty."""

    where: str  # such as `line 3`
    domain: str
    image: StoredImage | None = None
    text: str = ""
    label: str = ""
    target: str = ""
    others: tuple[str, ...] = ()  # targets that are right as well
    group: str = ""  # what stays together when splits are drawn
    shown: str = ""  # which image the row names, also where none is read


def read_rows(
    path: Path, place: str, needs: Needs, skipped: Refused | None = None
) -> tuple[Row, ...]:
    """All rows of a source, called `place` in errors; those that are wrong go to `skipped`.

    Raises DataError: at the first that is wrong without it, and where nothing is left.
    """
    rows = tuple(_checked(records(path, place), place, needs, skipped))
    if not rows:
        raise DataError(f"{place}: has no samples; add at least one or remove the task")
    return rows


def _checked(
    found: Iterable[Record], place: str, needs: Needs, skipped: Refused | None
) -> Iterator[Row]:
    for record in found:
        try:
            yield _row(record, f"{place} {record.where}", needs)
        except DataError as error:
            if skipped is None:
                raise
            skipped.append(error)


def _row(record: Record, place: str, needs: Needs) -> Row:
    cells = _Cells(record.values, place, needs)
    wanted = needs.fields
    targets = cells.texts("target") if "target" in wanted else ("",)
    image = cells.image() if "image" in wanted else None
    text = cells.text("text") if "text" in wanted else ""
    return Row(
        where=record.where,
        domain=cells.domain(),
        image=image,
        text=text,
        label=cells.label() if "label" in wanted else "",
        target=targets[0],
        others=targets[1:],
        group=cells.group() or _identity(image, text, needs.root),
        shown=_named(image or cells.unread_image(), needs.root),
    )


def _identity(image: StoredImage | None, text: str, root: Path) -> str:
    """What makes a sample the same one as far as is seen without opening an image."""
    return " ".join(text.split()).casefold() if image is None else _named(image, root)


def _named(image: StoredImage | None, root: Path) -> str:
    """Which image it is: the digest of its bytes, or its path below the client's directory."""
    if image is None:
        return ""
    if image.data is not None:
        return hashlib.sha256(image.data).hexdigest()
    assert image.path is not None  # noqa: S101 - for mypy: there is one of both
    below = image.path.is_relative_to(root)
    return str(image.path.relative_to(root) if below else image.path)


@dataclass(frozen=True, slots=True)
class _Cells:
    """The values of one row, by the task's fields."""

    values: Mapping[str, object]
    place: str
    needs: Needs

    def text(self, name: RowField) -> str:
        """The one text that is there."""
        text, *more = self.texts(name)
        if more:
            refuse(self.place, f"{name} has {len(more) + 1} values", "give one")
        return text

    def texts(self, name: RowField) -> tuple[str, ...]:
        """A text that is there; several where the cell is a list."""
        value = self._value(name)
        found = value if isinstance(value, list) and value else [value]
        return tuple(self._text(each, name) for each in found)

    def label(self) -> str:
        """One of the classes."""
        written = self.text("label")
        label = self.needs.labels.get(written, written)
        if label not in self.needs.classes:
            known = self.needs.classes
            refuse(
                self.place,
                f"label {_told(label, known)} is not one of the classes {_short(', '.join(known))}",
                "correct the label, map it in labels, or correct the task's classes",
            )
        return label

    def domain(self) -> str:
        """One of the domains; the only one where none is said."""
        column, domains = self.needs.columns.get("domain", "domain"), self.needs.domains
        if len(domains) == 1 and column not in self.values:
            return domains[0]
        domain = self.text("domain")
        if domain not in domains:
            refuse(
                self.place,
                f"domain {_told(domain, domains)} is not one of {_short(', '.join(domains))}",
                "correct the domain or the task's domains",
            )
        return domain

    def group(self) -> str:
        """What the row's group is called, if rows are grouped."""
        column = self.needs.group
        if not column:
            return ""
        if column not in self.values:
            refuse(self.place, f"column {_short(column)} is missing", "add it")
        return self._text(self.values[column], column)

    def image(self) -> StoredImage:
        """The path of the image's file, or its bytes."""
        value = self._value("image")
        if isinstance(value, StoredImage):
            return value
        if isinstance(value, dict) and isinstance(value.get("bytes"), bytes):
            return StoredImage(data=value["bytes"])
        if isinstance(value, dict) and "path" in value:
            value = value["path"]
        if isinstance(value, bytes):
            return StoredImage(data=value)
        return StoredImage(self.needs.images / self._text(value, "image"))

    def unread_image(self) -> StoredImage | None:
        """The image that the row names although the task does not read it, if it does."""
        if self.needs.columns.get("image", "image") not in self.values:
            return None
        try:
            return self.image()
        except DataError:  # whatever it is, nobody reads it
            return None

    def _value(self, name: RowField) -> object:
        column = self.needs.columns.get(name, name)
        if "{" in column:
            return self._filled(column)
        if column not in self.values:
            what = name if column == name else f"{name} (column {_short(column)})"
            refuse(self.place, f"{what} is missing", "add it")
        return self.values[column]

    def _filled(self, template: str) -> str:
        parts = []
        for literal, column, _, _ in string.Formatter().parse(template):
            parts.append(literal)
            if column is not None:
                if column not in self.values:
                    refuse(self.place, f"column {_short(column)} is missing", "add it")
                parts.append(self._text(self.values[column], column))
        return "".join(parts)

    def _text(self, value: object, name: str) -> str:
        if isinstance(value, _NUMBERS) and not isinstance(value, bool):
            value = _written(value)
        if value is not None and not isinstance(value, str):
            refuse(self.place, f"{name} is not text", "write it in quotes")
        if not value or not value.strip():
            refuse(self.place, f"{name} is empty", "fill it in or remove the row")
        if "\0" in value or (not value.isascii() and _has_lone_surrogate(value)):
            refuse(self.place, f"{name} holds characters that are no text", "remove them")
        return value


def _written(number: float) -> str | None:
    """A number as text with all its digits, whole or not; None for NaN, which says none."""
    if isinstance(number, int):
        return str(number)
    if math.isnan(number):
        return None
    return str(int(number)) if number.is_integer() else repr(number)


def _has_lone_surrogate(value: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in value)


def _told(value: str, known: Sequence[str]) -> str:
    """A wrong name; not what may be a private text, for sentences travel to the coordinator."""
    if len(value) > max(_LONGEST_NAME, *map(len, known)):
        return f"(a text of {len(value)} characters)"
    return _short(value)


def _short(value: str) -> str:
    return repr(value if len(value) <= 80 else value[:77] + "...")
