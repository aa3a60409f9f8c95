"""Where samples lie: files and folders in the formats of the `datasets` library, row by row.

CSV and JSON lines are read strictly, with line numbers; image folders as the library's
`imagefolder` has them; Parquet and saved Arrow data sets with the library's class labels. A batch
of rows is in memory at a time, and no image is opened here.
"""

import csv
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from worker.data.folders import walk

STATE = "state.json"  # of a saved data set
_SPLITS = "dataset_dict.json"  # of several that were saved together, each in a folder of its own
NAMES = "surrogateescape"  # how to encode what holds names of files, which need not be UTF-8
_IMAGES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"})
_METADATA = ("metadata.csv", "metadata.jsonl")
_SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab"}
FORMATS = "a .jsonl, .csv, .tsv or .parquet file, a folder of images, or a saved Arrow data set"

csv.field_size_limit(2**31 - 1)  # a text may be long; by default a cell has 128 KiB at most


class DataError(Exception):
    """A client's data cannot be used; one sentence with file, line, what is wrong and the remedy.

    The sentence travels to the server, so it never quotes a text of the data.
    """


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image as a row has it: the path of its file, or its bytes."""

    path: Path | None = None
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One row as it is written, and where."""

    where: str  # such as `line 3`
    values: Mapping[str, object]


def records(path: Path, place: str) -> Iterator[Record]:
    """All rows of a source, called `place` in errors. Raises DataError."""
    with _told(place):
        yield from _reader(path, place)(path, place)


def _reader(path: Path, place: str) -> Callable[[Path, str], Iterator[Record]]:
    if path.is_dir():
        if (path / _SPLITS).is_file():
            refuse(place, "holds several data sets", "name one of its folders instead")
        return _saved if (path / STATE).is_file() else _image_folder
    by_suffix = {".jsonl": _json_lines, ".json": _json_lines, ".csv": _csv, ".tsv": _csv}
    reader = {**by_suffix, ".parquet": _parquet}.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{place}: is of no known format; give {FORMATS}")
    return reader


@contextmanager
def _told(place: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise damaged(place) from error
        raise DataError(
            f"{place}: cannot be read ({os.strerror(error.errno)}); correct the path in the client "
            "file"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{place}: is not UTF-8 text; save it as UTF-8") from error


def _json_lines(path: Path, place: str) -> Iterator[Record]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                where = f"line {number}"
                yield Record(where, _object(line, f"{place} {where}"))


def _object(line: str, place: str) -> dict[str, object]:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: is not valid JSON; correct the line") from error
    if not isinstance(data, dict):
        refuse(place, "is not a JSON object", 'write one, such as {"text": "..."}')
    return data


def _csv(path: Path, place: str) -> Iterator[Record]:
    """With a header; everything is text."""
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter, strict=True)
        read = 0
        try:
            _check_header(reader.fieldnames or (), f"{place} line 1", delimiter)
            read = reader.line_num
            for row in reader:
                read = reader.line_num
                where = f"line {read}"
                if None in row or None in row.values():
                    refuse(
                        f"{place} {where}",
                        f"does not have the header's {len(reader.fieldnames or ())} columns",
                        "correct it, with quotes around a value that holds a comma",
                    )
                yield Record(where, row)
        except csv.Error:
            refuse(
                f"{place} line {read + 1}",
                "has a quote that is not closed, or not written twice inside a quoted value",
                "correct it",
            )


def _check_header(columns: Sequence[str], place: str, delimiter: str) -> None:
    """Raises DataError where a column is named twice, or all columns are taken for one."""
    check_names(columns, place)
    for other, called in _SEPARATORS.items() if len(columns) == 1 else ():
        if other in columns[0]:
            refuse(
                place,
                f"has one column, with {called} in its name",
                f"separate columns by {_SEPARATORS[delimiter]}",
            )


def _parquet(path: Path, place: str) -> Iterator[Record]:
    from worker.data import arrow  # noqa: PLC0415  # it is large, and few need it

    yield from arrow.parquet_rows(path, place)


def _saved(path: Path, place: str) -> Iterator[Record]:
    from worker.data import arrow  # noqa: PLC0415  # likewise

    yield from arrow.saved_rows(path, place)


def _image_folder(path: Path, place: str) -> Iterator[Record]:
    """Images below a folder: the name of the folder that an image is in is its label.

    As in the library's `imagefolder`, metadata.csv or metadata.jsonl may describe them instead,
    each by its `file_name`.
    """
    for name in _METADATA:
        if (path / name).is_file():
            for record in records(path / name, f"{place}/{name}"):
                yield _described(record, path, f"{place}/{name}")
            return
    for file in sorted(_shown_below(path)):
        if file.suffix.lower() in _IMAGES:
            inner = file.relative_to(path)
            label = {"label": inner.parent.name} if len(inner.parts) > 1 else {}
            yield Record(_printable(str(inner)), {"image": StoredImage(file), **label})


def _shown_below(path: Path) -> Iterator[Path]:
    """All files below a folder but hidden ones, as the library takes them. Raises OSError."""
    for directory, inner, names in walk(path, _raise):
        inner[:] = [name for name in inner if not name.startswith((".", "__"))]
        yield from (directory / name for name in names if not name.startswith("."))


def _raise(error: OSError) -> NoReturn:
    raise error


def _printable(name: str) -> str:
    """A file's name as it may stand in a sentence, also one that is no UTF-8."""
    return name if name.isprintable() else ascii(name)


def _described(record: Record, folder: Path, place: str) -> Record:
    name = record.values.get("file_name")
    if not isinstance(name, str):
        refuse(f"{place} {record.where}", "has no file_name", "add the image's path")
    return Record(record.where, {**record.values, "image": StoredImage(folder / name)})


def check_names(columns: Sequence[str], place: str) -> None:
    """Raises DataError where two columns have one name, so that either could be meant."""
    for name, times in Counter(filter(None, columns)).items():
        if times > 1:
            refuse(place, f"has {times} columns {name[:80]!r}", "rename one")


def damaged(place: str) -> DataError:
    """What to raise for a source that is not what its name says."""
    return DataError(f"{place}: is damaged or of another format; restore it")


def refuse(place: str, wrong: str, remedy: str) -> NoReturn:
    """Raise DataError in one sentence."""
    raise DataError(f"{place}: {wrong}; {remedy}")
