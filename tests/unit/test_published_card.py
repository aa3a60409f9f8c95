"""What a client publishes of its data is numbers: nothing that is written in them."""

import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.messages import ClientOffer, TaskOffer
from shared.readiness import MOST_CARD_BYTES, PublishedCard
from worker import cards
from worker.cards import published_card
from worker.data.client_file import ClientFile, offer
from worker.doctor.examine import Reading, examine

pytestmark = pytest.mark.unit

SECRET = "zebrafish"
TASK: dict[str, Any] = {
    "kind": "text_classification",
    "modalities": ["text"],
    "classes": [f"{SECRET} bad", f"{SECRET} good"],
    "labels": {SECRET: f"{SECRET} bad"},
    "domains": ["tweets", "films"],
}


def client(folder: Path, **changes: Any) -> ClientFile:
    """With texts, labels and paths that nobody may hear of; one row cannot be used."""
    for number, split in enumerate(("train", "validation", "test")):
        rows = [
            {
                "text": f"{SECRET} {number} {i}",
                "label": SECRET,
                "domain": ["tweets", "films"][i % 2],
            }
            for i in range(12)
        ]
        rows += [{"text": f"{SECRET} {number}", "label": f"{SECRET} odd", "domain": "films"}]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{SECRET}-{split}.jsonl").write_text(text)
    sources = {split: f"{SECRET}-{split}.jsonl" for split in ("train", "validation", "test")}
    described = {"client": "c01", "tasks": {"mood": {**TASK, **sources, **changes}}}
    (folder / "client.yaml").write_text(yaml.safe_dump({**described, "publish_card": True}))
    return ClientFile.read(folder / "client.yaml")


def words(value: object) -> set[str]:
    """All texts of a JSON value, the keys of its objects too."""
    match value:
        case dict():
            return set(value).union(*map(words, value.values()))
        case list():
            return set[str]().union(*map(words, value))
        case str():
            return {value}
        case _:
            return set()


@pytest.mark.parametrize("on_error", ["refuse", "skip"])
def test_numbers_travel_and_no_word_of_the_data(tmp_path: Path, on_error: str) -> None:
    file = client(tmp_path, on_error=on_error)
    card = published_card(file, threading.Event())
    assert card is not None
    assert card.tasks["mood"].train.per_class == (12, 0)
    assert card.tasks["mood"].train.domains == {"tweets": 6, "films": 6}
    assert card.tasks["mood"].skipped == 3
    assert (card.errors > 0) == (on_error == "refuse")
    assert card.tasks["mood"].train.text_tokens is not None
    travelling = card.model_dump(mode="json")
    assert SECRET not in json.dumps(travelling)
    fields = {*PublishedCard.model_json_schema()["properties"]}.union(
        *(part["properties"] for part in PublishedCard.model_json_schema()["$defs"].values()
          if "properties" in part)
    )  # fmt: skip
    assert words(travelling) <= fields | {"mood", "tweets", "films", TASK["kind"]}


def test_a_task_that_cannot_be_examined_is_only_counted(tmp_path: Path) -> None:
    file = client(tmp_path)
    (tmp_path / f"{SECRET}-train.jsonl").unlink()
    whole = examine(file, None, Reading())
    card = PublishedCard.of(whole, {"mood": TASK["classes"]})
    assert (card.tasks, card.errors, card.warnings) == ({}, 1, 0)


def test_nothing_is_published_unless_the_file_says_so(tmp_path: Path) -> None:
    file = client(tmp_path, on_error="skip")
    assert file.publish_card
    assert offer(file).card is None, "the first offer waits for no doctor"
    described = yaml.safe_load((tmp_path / "client.yaml").read_text())
    del described["publish_card"]
    assert not ClientFile.model_validate(described).publish_card


def test_a_worker_that_stops_waits_for_no_doctor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\nexec sleep 100\n")
    (tmp_path / "python").chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    stopping = threading.Event()
    stopping.set()
    assert published_card(client(tmp_path), stopping) is None


def test_a_doctor_that_fails_is_told_to_the_log_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = client(tmp_path)
    (tmp_path / "client.yaml").unlink()
    assert published_card(file, threading.Event()) is None
    assert "the doctor cannot examine c01" in caplog.text


def test_a_card_of_too_many_classes_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cards, "MOST_CARD_BYTES", 100)
    assert published_card(client(tmp_path, on_error="skip"), threading.Event()) is None
    assert "at most 100 are published" in caplog.text
    assert MOST_CARD_BYTES > 100


def test_an_offer_with_a_card_reads_back(tmp_path: Path) -> None:
    file = client(tmp_path, on_error="skip")
    card = PublishedCard.of(examine(file, None, Reading()), {"mood": TASK["classes"]})
    wanted = offer(file).model_copy(update={"card": card})
    assert isinstance(wanted.tasks["mood"], TaskOffer)
    assert ClientOffer.model_validate_json(wanted.model_dump_json()) == wanted
