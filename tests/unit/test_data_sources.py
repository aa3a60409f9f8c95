"""Samples in the formats of the `datasets` library, and splits that are drawn from one source."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from datasets import ClassLabel, Dataset, Features, Value
from datasets import Image as ImageFeature
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet

from shared.spec_files import SpecError
from worker.data.client_file import ClientFile, offer
from worker.data.division import divide
from worker.data.rows import Needs, Row, read_rows
from worker.data.sources import DataError
from worker.doctor.examine import Reading, examine

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


REVIEWS: dict[str, Any] = {
    "kind": "text_classification", "modalities": ["text"], "classes": ["bad", "good"],
    "data": "reviews.csv", "columns": {"text": "body", "label": "stars"},
    "labels": {"1": "bad", "5": "good"}, "split": {"validation": 0.2, "test": 0.3, "seed": 1},
}  # fmt: skip


def client(folder: Path, **changes: Any) -> ClientFile:
    task = {k: v for k, v in {**REVIEWS, **changes}.items() if v is not None}
    (folder / "client.yaml").write_text(yaml.safe_dump({"client": "c1", "tasks": {"t": task}}))
    return ClientFile.read(folder / "client.yaml")


def reviews(folder: Path, n: int = 100) -> None:
    lines = [f"p{i % 10},text {i},{(1, 5)[i % 2]}" for i in range(n)]
    (folder / "reviews.csv").write_text("patient,body,stars\n" + "\n".join(lines) + "\n")


def test_one_source_is_split_by_seeded_shares(tmp_path: Path) -> None:
    reviews(tmp_path)
    splits = client(tmp_path).splits("t")
    assert {split: len(rows) for split, rows in splits.items()} == {
        "train": 50, "validation": 20, "test": 30,
    }  # fmt: skip
    assert splits == client(tmp_path).splits("t")
    other = client(tmp_path, split={"validation": 0.2, "test": 0.3, "seed": 2}).splits("t")
    assert splits != other
    made = offer(client(tmp_path)).tasks["t"]
    assert (made.train, made.validation, made.test) == ({"general": 50}, 20, 30)


def test_a_column_keeps_its_rows_in_one_split(tmp_path: Path) -> None:
    reviews(tmp_path)
    splits = client(tmp_path, split={"validation": 0.2, "test": 0.2, "by": "patient"}).splits("t")
    patients = [{row.group for row in rows} for rows in splits.values()]
    assert [len(p) for p in patients] == [6, 2, 2]
    assert not patients[0] & patients[1]
    with pytest.raises(DataError, match="line 2: column 'ward' is missing; add it"):
        client(tmp_path, split={"by": "ward"}).splits("t")


@given(st.lists(st.integers(0, 12), min_size=1, max_size=60), st.floats(0, 0.5), st.integers(0, 9))
def test_every_row_is_in_one_split(groups: list[int], share: float, seed: int) -> None:
    rows = [Row(f"row {n}", "general", group=str(g)) for n, g in enumerate(groups)]
    splits = divide(rows, {"test": share, "validation": share, "train": 1.0}, seed)
    assert sorted(row.where for part in splits.values() for row in part) == sorted(
        row.where for row in rows
    )
    of = [{row.group for row in part} for part in splits.values()]
    assert sum(map(len, of)) == len(set(groups))


GREEN = (
    "train.jsonl line 4: label 'green' is not one of the classes 'red, blue'; correct the label, "
    "map it in labels, or correct the task's classes"
)


def test_what_cannot_be_used_is_skipped_with_the_reason_where_asked(tmp_path: Path) -> None:
    picture(tmp_path / "p" / "a.png", "red")
    (tmp_path / "p" / "b.png").write_text("no image")
    lines = [{"image": f"p/{n}", "label": "red"} for n in ("a.png", "b.png", "c.png")]
    lines.append({"image": "p/a.png", "label": "green"})
    for split in ("train", "validation", "test"):
        Dataset.from_list(lines).to_json(tmp_path / f"{split}.jsonl")
    task = {
        "kind": "image_classification", "modalities": ["image"], "classes": ["red", "blue"],
        **{split: f"{split}.jsonl" for split in ("train", "validation", "test")},
        "data": None, "columns": None, "labels": None, "split": None,
    }  # fmt: skip
    skipped: list[DataError] = []
    splits = client(tmp_path, **task, on_error="skip").splits("t", skipped)
    assert [len(rows) for rows in splits.values()] == [1, 1, 1]
    assert [str(error).partition(": ")[2] for error in skipped[:3]] == [
        GREEN,
        "train.jsonl line 2: the image 'b.png' cannot be read; replace the file or remove the row",
        "train.jsonl line 3: the image 'c.png' cannot be read; replace the file or remove the row",
    ]
    with pytest.raises(DataError, match="label 'green'"):
        client(tmp_path, **task).splits("t")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"train": "x.csv"}, "data is given beside train, validation or test; remove either"),
        ({"data": None, "split": None}, "train is missing; add it, or give one source as data"),
        ({"split": {"validation": 0.5, "test": 0.5}}, "leave nothing to train on: lower them"),
        ({"labels": {"1": "worst"}}, "labels names 'worst', which is no class; correct it"),
        ({"columns": {"txt": "body"}}, "columns"),
        (
            {"columns": {"text": "{body"}},
            "text is no template .* write each column as {name}",
        ),
        (
            {"data": None, "train": "a.csv", "validation": "a.csv", "test": "a.csv"},
            "split draws from data; give data, or remove split",
        ),
    ],
)
def test_a_wrong_description_names_the_remedy(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(SpecError, match=says):
        client(tmp_path, **changes)


def test_too_few_samples_for_all_splits(tmp_path: Path) -> None:
    reviews(tmp_path, 2)
    with pytest.raises(DataError, match=r"reviews\.csv: 2 samples leave none to validation"):
        client(tmp_path).splits("t")


SHOPS = {"domains": ["a", "b"], "columns": {"text": "body", "label": "stars", "domain": "shop"}}
GIVEN = {"data": None, "split": None, **{s: f"{s}.csv" for s in ("train", "validation", "test")}}
DRAWN = {"split": {"validation": 0.1, "test": 0.1, "seed": 0}}
TESTED = 7  # a row that the seed draws for test, of twenty


def shops(path: Path, *names: str) -> None:
    lines = [f"{name},text {path.stem} {n},5" for n, name in enumerate(names)]
    path.write_text("shop,body,stars\n" + "\n".join(lines) + "\n")


def two_shops(folder: Path, changes: dict[str, Any], **more: Any) -> ClientFile:
    """A client with a sample of domain `b` in test alone."""
    for split in ("train", "validation", "test"):
        shops(folder / f"{split}.csv", "a", "b" if split == "test" else "a")
    shops(folder / "reviews.csv", *("b" if n == TESTED else "a" for n in range(20)))
    return client(folder, **SHOPS, **changes, **more)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            GIVEN,
            (
                "client c1: test.csv line 3: is a test sample of domain 'b', of which none trains; "
                "add such samples to train, or leave these out"
            ),
        ),
        (
            DRAWN,
            (
                f"client c1: reviews.csv line {TESTED + 2}: is a test sample of domain 'b', of "
                "which none trains; add more of it, leave it out, or choose another split.seed"
            ),
        ),
    ],
    ids=["given", "drawn"],
)
def test_held_out_samples_are_of_domains_that_train(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    file = two_shops(tmp_path, changes)
    with pytest.raises(DataError) as caught:
        offer(file)
    assert str(caught.value) == says
    said = examine(file, None, Reading()).findings
    assert [each.sentence for each in said if each.severity == "error"] == [says]
    skipped: list[DataError] = []
    splits = two_shops(tmp_path, changes, on_error="skip").splits("t", skipped)
    assert [str(error) for error in skipped] == [says]
    assert [len(splits["test"]), *{row.domain for row in splits["test"]}] == [1, "a"]


def test_a_split_of_nothing_but_other_domains_is_refused_also_where_rows_are_skipped(
    tmp_path: Path,
) -> None:
    file = two_shops(tmp_path, GIVEN, on_error="skip")
    shops(tmp_path / "validation.csv", "b", "b")
    with pytest.raises(DataError, match=r"validation\.csv line 2: .* of domain 'b', of which none"):
        offer(file)


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
