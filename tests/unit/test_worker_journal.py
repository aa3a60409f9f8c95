"""What a worker writes down about its work, and what it makes of it after a kill."""

import errno
import json
import os
import re
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from shared.crash_points import VARIABLE, WORKER_POINTS, crash_point
from shared.messages import HeldAssignment
from shared.results import EvaluateResult, PersonalizeResult, PlanResult, TrainResult
from worker.journal import Entry, Journal, Stage

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
SHA = "a" * 64
LEASE = {"lease_id": UUID(int=1), "attempt": 3}
HELD = HeldAssignment(assignment_id=UUID(int=2), **LEASE)
TRAINED = TrainResult(**LEASE, components={"proj": SHA}, losses={}, state_digest="b" * 64)


def trained() -> Entry:
    return Entry(held=HELD, job_id=uuid4(), stage=Stage.TRAINED, result=TRAINED)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journals" / "c01.json")


def test_nothing_is_in_hand_at_first(journal: Journal) -> None:
    assert journal.read() is None
    journal.clear()


def test_what_is_written_is_read_until_it_is_cleared(journal: Journal, tmp_path: Path) -> None:
    first = Entry(held=HELD, job_id=uuid4())
    for entry in (first, trained()):
        journal.write(entry)
        assert Journal(tmp_path / "journals" / "c01.json").read() == entry
    journal.clear()
    assert journal.read() is None
    assert list((tmp_path / "journals").iterdir()) == []


def test_a_lease_s_name_stays_until_what_it_was_given_has_ended(
    journal: Journal, tmp_path: Path
) -> None:
    name = journal.lease_name()
    assert Journal(tmp_path / "journals" / "c01.json").lease_name() == name, "after a kill"
    journal.write(trained())
    assert journal.lease_name() == name
    journal.clear()
    assert journal.lease_name() != name


def test_a_lease_s_name_that_cannot_be_read_is_made_anew(journal: Journal, tmp_path: Path) -> None:
    journal.lease_name()
    (tmp_path / "journals" / "c01.lease").write_bytes(b"\xff")
    assert journal.lease_name() == journal.lease_name()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\x00",
        b"null",
        b"{}",
        trained().model_dump_json().encode()[:-9],
        json.dumps({**json.loads(trained().model_dump_json()), "result": None}).encode(),
    ],
)
def test_an_unreadable_journal_is_one_sentence_and_counts_as_none(
    journal: Journal, tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    journal.write(trained())
    (tmp_path / "journals" / "c01.json").write_bytes(content)
    assert journal.read() is None
    [record] = caplog.records
    assert "c01.json cannot be read" in record.message
    assert "\n" not in record.message


def test_a_write_that_was_cut_off_leaves_the_entry_before(journal: Journal, tmp_path: Path) -> None:
    entry = trained()
    journal.write(entry)
    (tmp_path / "journals" / "c01.json.part").write_bytes(b'{"held"')
    assert journal.read() == entry
    journal.write(entry.begun_again())
    assert journal.read() == entry.begun_again()


def test_a_stage_and_its_result_belong_together() -> None:
    for stage in Stage:
        with pytest.raises(ValidationError, match="does not fit"):
            Entry(
                held=HELD,
                job_id=uuid4(),
                stage=stage,
                result=TRAINED if stage is Stage.CLAIMED else None,
            )


def test_what_a_result_needs_at_the_server_and_promotes_in_the_end() -> None:
    results = [
        (TRAINED, {"proj": SHA}, "b" * 64),
        (PlanResult(**LEASE, components={"proj": SHA}), {"proj": SHA}, None),
        (PersonalizeResult(**LEASE, losses={}, state_digest=SHA), {}, SHA),
        (EvaluateResult(**LEASE, scores={}), {}, None),
    ]
    for result, uploads, state in results:
        entry = trained().model_copy(update={"result": result})
        assert (entry.uploads, entry.state_digest) == (uploads, state)


def test_a_new_beginning_is_counted_and_has_no_result() -> None:
    again = trained().begun_again()
    assert (again.held, again.stage, again.starts, again.result) == (HELD, Stage.CLAIMED, 2, None)
    with pytest.raises(ValueError, match="nothing is computed"):
        _ = again.outcome


def test_the_list_of_crash_points_is_what_the_code_has() -> None:
    sources = [
        path.read_text(encoding="utf-8")
        for package in ("worker", "shared")
        for path in (ROOT / package).rglob("*.py")
    ]
    named = {name for text in sources for name in re.findall(r'crash_point\("(worker\..+?)"', text)}
    noted = {f"worker.{stage}" for stage in Stage}
    assert named | noted == set(WORKER_POINTS)


def test_a_crash_point_that_is_not_asked_for_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    crash_point("worker.claimed")
    monkeypatch.setenv(VARIABLE, "worker.trained:1")
    crash_point("worker.claimed")


def test_a_full_disk_forbids_no_claim_whose_failure_would_say_so(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        assert journal.lease_name() != journal.lease_name()
    assert journal.lease_name() == journal.lease_name()
