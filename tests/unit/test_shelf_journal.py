"""From the accepted report to the note for the shelf: whatever kills the worker, it is not lost."""

import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from shared.artifacts import ArtifactStore
from shared.messages import AssignmentKind, Claim, Lease
from shared.results import EvaluateResult, PersonalizeResult
from shared.shelf_spec import ShelfForm
from tests.support import small
from tests.support.shelf import two_states
from worker.data.client_file import ClientFile
from worker.decisions import Ending, when_not_put
from worker.journal import Entry, Stage, shelved_after
from worker.workplace import Workplace

pytestmark = pytest.mark.unit
LEASE = Lease(id=UUID(int=1), attempt=1, seconds=60)
ROOT = Path(__file__).parents[2]
WITHOUT_STAGE_TWO = {"name": "fedavg", "post_training": False}
NONE, ENCRYPTED, PLAIN = ShelfForm.NONE, ShelfForm.ENCRYPTED, ShelfForm.PLAIN


def claim(kind: AssignmentKind, **changes: Any) -> Claim:
    return Claim(
        assignment_id=UUID(int=2),
        kind=kind,
        job_id=UUID(int=3),
        spec=small.spec(**changes),
        lease=LEASE,
        round=1,
        components=("proj",),
    )


@pytest.mark.parametrize(
    ("algorithm", "last"),
    [({"name": "tap"}, "personalize"), ({"name": "local"}, "personalize"),
     ({"name": "disentafl"}, "personalize"), (WITHOUT_STAGE_TWO, "evaluate")],
)  # fmt: skip
def test_the_last_state_is_the_one(algorithm: dict[str, object], last: str) -> None:
    for kind in AssignmentKind:
        asked = claim(kind, algorithm=algorithm, shelf="encrypted")
        assert (shelved_after(asked) is ENCRYPTED) is (kind == last)
        assert shelved_after(claim(kind, algorithm=algorithm)) is NONE


def test_an_entry_keeps_it_however_often_it_begins() -> None:
    entry = Entry.of(claim(AssignmentKind.PERSONALIZE, shelf="plain"))
    assert entry.shelf is PLAIN
    halved = entry.halved(32)
    assert halved is not None
    for again in (entry.begun_again(), entry.not_begun(), halved):
        assert again.shelf is PLAIN
    old = entry.model_dump_json(exclude={"shelf"})
    assert Entry.model_validate_json(old).shelf is NONE, "of a worker before there was a shelf"


def workplace(root: Path, allowed: ShelfForm) -> Workplace:
    tasks = {
        "digits": {
            "kind": "image_classification", "modalities": ["image"], "classes": ["a", "b"],
            "data": "x.jsonl",
        }
    }  # fmt: skip
    file = ClientFile.model_validate({"client": "c01", "tasks": tasks, "shelf": allowed})
    return Workplace("c01", ArtifactStore(root / "cache", durable=False), root, file)


_DIES = """\
import sys, threading
from pathlib import Path
from tests.unit.test_shelf_journal import workplace
from shared.shelf_spec import ShelfForm
from worker.attempt import Attempt, Member
place = workplace(Path(sys.argv[1]), ShelfForm.ENCRYPTED)
Attempt(Member(None, place), place.journal.read(), None, None, threading.Event()).run()
"""


@pytest.mark.parametrize("stage_two", [True, False])
def test_a_worker_that_dies_before_its_journal_is_cleared_notes_it_again(
    tmp_path: Path, *, stage_two: bool
) -> None:
    place, job = workplace(tmp_path, ENCRYPTED), UUID(int=3)
    _, states = two_states(tmp_path / "personal" / "c01" / str(job), 10)
    lease = {"lease_id": LEASE.id, "attempt": 1}
    result = (
        PersonalizeResult(**lease, losses={}, state_digest=states[0])
        if stage_two
        else EvaluateResult(**lease, scores={})
    )
    kind = AssignmentKind.PERSONALIZE if stage_two else AssignmentKind.EVALUATE
    more = {} if stage_two else {"algorithm": WITHOUT_STAGE_TWO}
    begun = Entry.of(claim(kind, shelf="plain", **more))
    place.journal.write(begun.model_copy(update={"stage": Stage.ACCEPTED, "result": result}))
    command = [sys.executable, "-c", _DIES, str(tmp_path)]
    env = {"PYTHONPATH": str(ROOT), "TAPESTRY_CRASH_POINT": "worker.promoted:1"}
    assert subprocess.run(command, env=env, check=False, timeout=120).returncode == -9
    assert place.journal.read() is not None
    (note,) = place.shelf.waiting()
    assert (note.form, list(note.states)) == (ENCRYPTED, states)
    del env["TAPESTRY_CRASH_POINT"]
    assert subprocess.run(command, env=env, check=False, timeout=120).returncode == 0
    assert place.journal.read() is None
    assert list(place.shelf.waiting()) == [note]


def test_a_note_is_dropped_unless_another_model_was_noted_meanwhile(tmp_path: Path) -> None:
    notes, job = workplace(tmp_path, PLAIN).shelf, UUID(int=4)
    notes.add(job, PLAIN, ["a" * 64])
    (first,) = notes.waiting()
    notes.add(job, PLAIN, ["b" * 64, "a" * 64])
    notes.sealed_file(job).write_bytes(b"newer")
    notes.drop(first)
    (second,) = notes.waiting()
    assert notes.sealed_file(job).exists()
    notes.drop(second)
    assert list(notes.waiting()) == []
    assert not notes.sealed_file(job).exists()


@pytest.mark.parametrize(
    ("status", "code", "ending"),
    [(0, "unreachable", Ending.KEEP), (503, "unavailable", Ending.KEEP),
     (507, "no_space", Ending.KEEP), (401, "unauthorized", Ending.KEEP),
     (422, "wrong_hash", Ending.KEEP), (409, "upload_busy", Ending.KEEP),
     (409, "wrong_offset", Ending.KEEP), (409, "not_asked", Ending.DROP),
     (404, "not_found", Ending.DROP), (413, "too_large", Ending.DROP),
     (422, "invalid", Ending.DROP)],
)  # fmt: skip
def test_only_what_the_server_has_decided_is_given_up(
    status: int, code: str, ending: Ending
) -> None:
    assert when_not_put(status, code) is ending
