"""Rows of Parquet files and of data sets that the `datasets` library has saved."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import pyarrow as pa
from pyarrow import compute, parquet

from worker.data.sources import STATE, DataError, Record, check_names, damaged

_BATCH = 1000  # rows in memory


def parquet_rows(path: Path, place: str) -> Iterator[Record]:
    """The rows of a Parquet file. Raises DataError, OSError."""
    with _told(place), parquet.ParquetFile(path) as file:
        yield from _rows(file.iter_batches(_BATCH), file.schema_arrow, place)


def saved_rows(path: Path, place: str) -> Iterator[Record]:
    """What `Dataset.save_to_disk` wrote, Arrow streams. Raises DataError, OSError."""
    number = 0
    for file in _files(path, place):
        with _told(place), pa.memory_map(str(file)) as mapped, pa.ipc.open_stream(mapped) as stream:
            for record in _rows(stream, stream.schema, place, number):
                number += 1
                yield record


def _files(path: Path, place: str) -> list[Path]:
    try:
        named = json.loads((path / STATE).read_text(encoding="utf-8"))["_data_files"]
        return [path / Path(each["filename"]).name for each in named]
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(f"{place}/{STATE}") from error


@contextmanager
def _told(place: str) -> Iterator[None]:
    try:
        yield
    except pa.ArrowException as error:
        raise damaged(place) from error
    except OverflowError as error:
        raise DataError(
            f"{place}: holds a date that is out of range; correct it, or leave its column out"
        ) from error


def _rows(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, place: str, before: int = 0
) -> Iterator[Record]:
    """Numbered from 1, class labels by name as the library's metadata have them."""
    classes = _classes(schema, place)
    rows = chain.from_iterable(_widened(batch).to_pylist() for batch in batches)
    for number, row in enumerate(rows, before + 1):
        labels = {name: _class(row[name], names) for name, names in classes.items()}
        yield Record(f"row {number}", {**row, **labels})


def _widened(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Numbers of 32 bits in 64, broken ones as they are written: 0.1, not 0.10000000149011612."""
    for number, column in enumerate(batch.columns):
        if pa.types.is_float32(column.type):
            exact, written = column.cast(pa.float64()), column.cast(pa.string()).cast(pa.float64())
            wide = compute.if_else(compute.equal(compute.floor(exact), exact), exact, written)
            batch = batch.set_column(number, batch.schema.field(number).name, wide)
    return batch


def _classes(schema: pa.Schema, place: str) -> dict[str, list[str]]:
    """The names of each column of class labels. Raises DataError."""
    check_names(schema.names, place)
    written = (schema.metadata or {}).get(b"huggingface")
    if written is None:
        return {}
    try:
        features = json.loads(written)["info"]["features"]
        return {
            name: feature["names"]
            for name, feature in features.items()
            if name in schema.names  # other programs leave columns out and the metadata as they are
            and isinstance(feature, dict)
            and feature.get("_type") == "ClassLabel"
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(f"{place}, its metadata") from error


def _class(value: object, names: list[str]) -> str | None:
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else None
