"""Splits that are drawn from one source or given, and rows that none of them can use."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from shared.spec_files import SpecError
from worker.data.client_file import ClientFile, offer
from worker.data.division import divide
from worker.data.rows import Row
from worker.data.sources import DataError
from worker.doctor.examine import Reading, examine

pytestmark = pytest.mark.unit


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
    (tmp_path / "p").mkdir()
    Image.new("RGB", (8, 8), "red").save(tmp_path / "p" / "a.png")
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
