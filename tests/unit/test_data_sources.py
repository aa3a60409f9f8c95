"""Samples in the formats of the `datasets` library, and as other programs write them."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from datasets import Image as ImageFeature
from PIL import Image
from pyarrow import parquet

from worker.data.rows import Needs, read_rows
from worker.data.sources import DataError

pytestmark = pytest.mark.unit

MOOD = Needs(("text", "label"), ("bad", "good"), ("general",))
TEXTS = [("so, so", "bad"), ("fine", "good"), ('"quoted"', "good")]


def csv_file(folder: Path) -> Path:
    path = folder / "rows.csv"
    lines = ["text,label", '"so, so",bad', "fine,good", '"""quoted""",good']
    path.write_bytes("\ufeff".encode() + "\r\n".join(lines).encode())
    return path


def tsv_file(folder: Path) -> Path:
    path = folder / "rows.TSV"
    path.write_text('text\tlabel\nso, so\tbad\nfine\tgood\n"""quoted"""\tgood\n')
    return path


def json_lines(folder: Path) -> Path:
    path = folder / "rows.json"
    data(text=Value("string"), label=Value("string")).to_json(path)
    return path


def data(text: object, label: object) -> Dataset:
    named = [{"text": t, "label": name} for t, name in TEXTS]
    return Dataset.from_list(named).cast(Features({"text": text, "label": label}))


def labelled() -> Dataset:
    rows = [{"text": t, "label": ("good", "bad").index(name)} for t, name in TEXTS]
    classes = ClassLabel(names=["good", "bad"])
    return Dataset.from_list(rows, features=Features({"text": Value("string"), "label": classes}))


def parquet_file(folder: Path) -> Path:
    path = folder / "rows.parquet"
    labelled().to_parquet(path)
    return path


def saved(folder: Path) -> Path:
    path = folder / "saved"
    labelled().save_to_disk(path)
    return path


@pytest.mark.parametrize("write", [csv_file, tsv_file, json_lines, parquet_file, saved])
def test_every_format_gives_the_same_rows(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    rows = read_rows(write(tmp_path), "rows", MOOD)
    assert [(row.text, row.label) for row in rows] == TEXTS
    assert rows[0].where in {"line 2", "line 1", "row 1"}


def picture(path: Path, colour: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path)
    return path


def test_images_inside_parquet_are_bytes(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", "red")
    row = {"image": {"bytes": path.read_bytes(), "path": None}}
    made = Dataset.from_list([row], features=Features({"image": ImageFeature()}))
    made.to_parquet(tmp_path / "rows.parquet")
    needs = Needs(("image",), (), ("general",))
    [found] = read_rows(tmp_path / "rows.parquet", "p", needs)
    assert found.image is not None
    assert found.image.data is not None
    assert Image.open(BytesIO(found.image.data)).size == (8, 8)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.txt", b"", "x.txt: is of no known format; give a .jsonl, .csv, .tsv or .parquet file"),
        ("x.parquet", b"PAR1 nothing", "x.parquet: is damaged or of another format; restore it"),
        ("x.parquet", b"", "x.parquet: is damaged or of another format; restore it"),
        ("x.csv", b"text,label\nfine\n", "x.csv line 2: does not have the header's 2 columns"),
        ("x.csv", b"text,label\na,b,c\n", "x.csv line 2: does not have the header's 2 columns"),
        ("x.csv", b'text,label\n"a,b\n', "x.csv line 2: has a quote that is not closed, or"),
        ("x.csv", b'text,label\na,bad\n"a "b"",bad\n', "x.csv line 3: has a quote that is not"),
        ("x.csv", b"text;label\na;bad\n", "x.csv line 1: has one column, with a semicolon in its"),
        (
            "x.tsv",
            b"text,label\na,bad\n",
            "x.tsv line 1: has one column, with a comma in its name; separate columns by a tab",
        ),
        ("x.csv", b"text,label,text\na,bad,b\n", "x.csv line 1: has 2 columns 'text'; rename one"),
        ("x.csv", b"\xff\xfe\n", "x.csv: is not UTF-8 text; save it as UTF-8"),
        ("x.csv", b"", "x.csv: has no samples; add at least one or remove the task"),
        ("x.csv", b"body,label\na,good\n", "x.csv line 2: text is missing; add it"),
    ],
)
def test_a_source_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_rows(tmp_path / name, name, MOOD)
    assert str(caught.value).startswith(says)


def test_columns_templates_labels_and_several_targets(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(
        '{"q": "why", "of": 7, "stars": 5, "shop": "a", "answers": ["yes", "yeah"]}\n'
    )
    needs = Needs(
        ("text", "label", "target"), ("good",), ("a", "b"),
        columns={"text": "{q}, {of}?", "label": "stars", "domain": "shop", "target": "answers"},
        labels={"5": "good"},
    )  # fmt: skip
    [row] = read_rows(tmp_path / "x.jsonl", "x", needs)
    assert (row.text, row.label, row.domain) == ("why, 7?", "good", "a")
    assert (row.target, row.others) == ("yes", ("yeah",))


LONG = "word " * 200_000


@pytest.mark.parametrize(
    ("name", "content", "first"),
    [
        ("x.csv", f'text,label,,\n"{LONG}",bad,,\n'.encode(), LONG),
        ("x.csv", b"text,label\r\nfine,good\r\n\r\n\r\n", "fine"),
        ("x.jsonl", b'\xef\xbb\xbf{"text": "fine", "label": "good"}\n', "fine"),
        ("x.jsonl", b'{"text": 10000001.0, "label": "good"}', "10000001"),
        ("x.jsonl", b'{"text": 2.50, "label": "good"}', "2.5"),
        ("x.jsonl", b'{"text": 123456.75, "label": "good"}', "123456.75"),
    ],
    ids=["a long cell", "empty last lines", "byte order mark", "whole float", "float", "digits"],
)
def test_what_programs_write(tmp_path: Path, name: str, content: bytes, first: str) -> None:
    (tmp_path / name).write_bytes(content)
    [row] = read_rows(tmp_path / name, name, MOOD)
    assert row.text == first


NUMBERS = [0.1, 123456.75, 123456.5, 5.0, 1e-07, 2.0**27 + 16]


@pytest.mark.parametrize("bits", [pa.float32(), pa.float64()], ids=str)
@pytest.mark.parametrize("write", [Dataset.to_parquet, Dataset.save_to_disk])
def test_numbers_keep_their_digits(
    tmp_path: Path, write: Callable[[Dataset, Path], object], bits: pa.DataType
) -> None:
    columns = {"text": pa.array([*NUMBERS, None, float("nan")], bits)}
    labels = pa.array(["good"] * (len(NUMBERS) + 2))
    write(Dataset(pa.table({**columns, "label": labels})), tmp_path / "x.parquet")
    skipped: list[DataError] = []
    rows = read_rows(tmp_path / "x.parquet", "x", MOOD, skipped)
    texts = ["0.1", "123456.75", "123456.5", "5", "1e-07", "134217744"]
    assert [row.text for row in rows] == texts
    assert [str(error).partition(";")[0] for error in skipped] == [
        "x row 7: text is empty", "x row 8: text is empty",
    ]  # fmt: skip


def metadata(features: object) -> dict[str, str]:
    return {"huggingface": json.dumps({"info": {"features": features}})}


CLASS = {"names": ["bad", "good"], "_type": "ClassLabel"}


@pytest.mark.parametrize(
    ("columns", "about", "says"),
    [
        ({"when": pa.array([10**12], pa.timestamp("s"))}, {}, "x: holds a date that is out of"),
        ({}, {"huggingface": "{"}, "x, its metadata: is damaged or of another format; restore it"),
        ({}, {"huggingface": "{}"}, "x, its metadata: is damaged or of another format; restore"),
        ({}, metadata({"label": {"_type": "ClassLabel"}}), "x, its metadata: is damaged or of"),
        ({"text": pa.array(["b"])}, {}, "x: has 2 columns 'text'; rename one"),
        ({}, metadata({"label": CLASS, "gone": CLASS}), None),
    ],
)
def test_parquet_of_other_programs(
    tmp_path: Path, columns: dict[str, pa.Array], about: dict[str, str], says: str | None
) -> None:
    names = ["text", "label", *columns]
    made = pa.Table.from_arrays([pa.array(["a"]), pa.array([1]), *columns.values()], names)
    parquet.write_table(made.replace_schema_metadata(about), tmp_path / "x.parquet")
    if says is None:
        [row] = read_rows(tmp_path / "x.parquet", "x", MOOD)
        assert row.label == "good"
        return
    with pytest.raises(DataError) as caught:
        read_rows(tmp_path / "x.parquet", "x", MOOD)
    assert str(caught.value).startswith(says)
