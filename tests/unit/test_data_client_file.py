"""Client files and offers: counts, and one sentence for each mistake."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from shared.components import Modality, TaskKind
from shared.spec_files import SpecError
from worker.data.client_file import ClientFile, offer
from worker.data.rows import Needs, read_rows
from worker.data.sources import DataError

pytestmark = pytest.mark.unit

SENTIMENT: dict[str, Any] = {
    "kind": "text_classification",
    "modalities": ["text"],
    "classes": ["bad", "good"],
    "domains": ["tweets", "films"],
    "train": "s/train.jsonl",
    "validation": "s/validation.jsonl",
    "test": "s/test.jsonl",
}
NEEDS = Needs(("text", "label"), ("bad", "good"), ("tweets", "films"))
ROW = {"text": "fine", "label": "good", "domain": "films"}


def write(folder: Path, task: dict[str, Any], client: str = "c01") -> Path:
    path = folder / "client.yaml"
    content = yaml.safe_dump({"client": client, "tasks": {"mood": task}})
    path.write_text(content, encoding="utf-8")
    return path


def write_rows(path: Path, *rows: object) -> None:
    path.parent.mkdir(exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_an_offer_counts_training_samples_by_domain(tmp_path: Path) -> None:
    tweet = {"text": "so bad", "label": "bad", "domain": "tweets"}
    write_rows(tmp_path / "s/train.jsonl", ROW, tweet, "", ROW | {"text": "good"})
    write_rows(tmp_path / "s/validation.jsonl", ROW)
    write_rows(tmp_path / "s/test.jsonl", ROW, ROW)
    made = offer(ClientFile.read(write(tmp_path, SENTIMENT))).tasks["mood"]
    assert made.kind is TaskKind.TEXT_CLASSIFICATION
    assert made.modalities == (Modality.TEXT,)
    assert (made.n_classes, made.validation, made.test) == (2, 1, 2)
    assert made.train == {"tweets": 1, "films": 2}


def test_an_offer_opens_no_image(tmp_path: Path) -> None:
    task = {k: v for k, v in SENTIMENT.items() if k not in {"classes", "domains"}}
    task |= {"kind": "image_generation", "modalities": ["image"]}
    for split in ("train", "validation", "test"):
        write_rows(tmp_path / f"s/{split}.jsonl", {"image": "nowhere.png"})
    made = offer(ClientFile.read(write(tmp_path, task))).tasks["mood"]
    assert made.train == {"general": 1}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "image_reading"}, "tasks.mood.kind"),
        ({"modalities": []}, "tasks.mood.modalities"),
        ({"modalities": ["image"]}, "add it to modalities"),
        ({"classes": ["one"]}, "at least two classes"),
        ({"domains": ["x", "x"]}, "domains names something twice"),
        ({"trian": "x"}, "did you mean train"),
        ({"train": 3}, "tasks.mood.train"),
    ],
)
def test_a_wrong_client_file_names_the_field(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    with pytest.raises(SpecError, match=says):
        ClientFile.read(write(tmp_path, SENTIMENT | change))


def test_wrong_names_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"client: .*pattern"):
        ClientFile.read(write(tmp_path, SENTIMENT, client="No Spaces"))
    with pytest.raises(SpecError, match="check the path"):
        ClientFile.read(tmp_path / "other.yaml")
    lacking = {k: v for k, v in SENTIMENT.items() if k != "test"}
    with pytest.raises(SpecError, match=r"test is missing; add it, or give one source as data"):
        ClientFile.read(write(tmp_path, lacking))


def test_a_task_that_the_client_lacks(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"client c01: has no task 'x'; add it"):
        ClientFile.read(write(tmp_path, SENTIMENT)).task("x")


def test_a_split_outside_the_directory(tmp_path: Path) -> None:
    file = ClientFile.read(write(tmp_path, SENTIMENT | {"train": "../train.jsonl"}))
    with pytest.raises(DataError, match="outside the client's directory"):
        offer(file)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"text": ', "is not valid JSON; correct the line"),
        ("[" * 100_000, "is not valid JSON; correct the line"),
        ("[1]", "is not a JSON object"),
        ({"text": "x", "domain": "films"}, "label is missing; add it"),
        (ROW | {"label": "ugly"}, "label 'ugly' is not one of the classes 'bad, good'"),
        (
            ROW | {"label": "Mrs Smith of Elm Street came with a cough on Monday"},
            "label (a text of 51 characters) is not one of the classes 'bad, good'; correct",
        ),
        (ROW | {"label": True}, "label is not text; write it in quotes"),
        (ROW | {"label": 1}, "label '1' is not one of the classes 'bad, good'"),
        (ROW | {"text": " \t"}, "text is empty; fill it in or remove the row"),
        (ROW | {"text": None}, "text is empty; fill it in or remove the row"),
        (ROW | {"text": math.nan}, "text is empty; fill it in or remove the row"),
        (ROW | {"label": math.nan}, "label is empty; fill it in or remove the row"),
        (ROW | {"text": ["so", "fine"]}, "text has 2 values; give one"),
        (ROW | {"label": ["bad", "good"]}, "label has 2 values; give one"),
        (ROW | {"domain": ["tweets", "films"]}, "domain has 2 values; give one"),
        (ROW | {"text": "\ud800"}, "text holds characters that are no text"),
        (ROW | {"text": "a\0b"}, "text holds characters that are no text"),
        (ROW | {"domain": "radio"}, "domain 'radio' is not one of 'tweets, films'"),
        ({"text": "x", "label": "bad"}, "domain is missing; add it"),
    ],
)
def test_a_bad_row_names_file_line_and_remedy(tmp_path: Path, line: object, says: str) -> None:
    write_rows(tmp_path / "x.jsonl", ROW, line)
    with pytest.raises(DataError) as caught:
        read_rows(tmp_path / "x.jsonl", "c01: x.jsonl", NEEDS)
    assert str(caught.value).startswith("c01: x.jsonl line 2: ")
    assert says in str(caught.value)


def test_missing_empty_and_unreadable_splits(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with pytest.raises(DataError, match=r"cannot be read \(No such file.*; correct the path"):
        read_rows(path, "x.jsonl", NEEDS)
    path.write_text("\n \n", encoding="utf-8")
    with pytest.raises(DataError, match="has no samples; add at least one"):
        read_rows(path, "x.jsonl", NEEDS)
    path.write_bytes(b'{"text": "\xff"}')
    with pytest.raises(DataError, match="save it as UTF-8"):
        read_rows(path, "x.jsonl", NEEDS)
    with pytest.raises(DataError, match="is of no known format; give a"):
        read_rows(tmp_path / "x.txt", "x.txt", NEEDS)


@given(
    st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "ignore"))
)
def test_any_bytes_give_one_sentence(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"any\.jsonl.*; "):
        read_rows(path, "any.jsonl", NEEDS)
