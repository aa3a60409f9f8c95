"""What the command line says about waiting."""

import io
import uuid
from datetime import UTC, datetime

import pytest
from rich.console import Console

from cli.waiting import QUIET_S, Quiet, waiting_table
from server import examples
from shared.states import JobState
from shared.views import JobView
from shared.waiting import WaitingList

pytestmark = pytest.mark.unit
NOW = datetime(2026, 1, 1, tzinfo=UTC)
JOB = JobView.model_validate({**examples.JOB, "id": uuid.uuid4()})


def test_a_quiet_job_says_why_after_some_seconds() -> None:
    quiet = Quiet()
    assert quiet.sentence(JOB, (), 0) == ""
    assert quiet.sentence(JOB, (), QUIET_S - 1) == ""
    assert JOB.waiting is not None
    assert quiet.sentence(JOB, (), QUIET_S) == JOB.waiting.sentence


def test_a_change_ends_the_quiet() -> None:
    quiet = Quiet()
    quiet.sentence(JOB, (), 0)
    moved = JOB.model_copy(update={"round": 3})
    assert quiet.sentence(moved, (), QUIET_S) == ""
    assert quiet.sentence(moved, (), QUIET_S + 1) == ""
    ended = moved.model_copy(update={"state": JobState.SUCCEEDED, "waiting": None})
    assert quiet.sentence(ended, (), 2 * QUIET_S) == ""
    assert quiet.sentence(ended, (), 9 * QUIET_S) == ""


def test_the_table_names_cause_end_and_what_follows() -> None:
    console = Console(width=300, file=io.StringIO(), record=True)
    console.print(waiting_table(WaitingList.model_validate(examples.WAITING)))
    text = console.export_text()
    assert "assignment c02" in text
    assert "c02 has not claimed the assignment yet." in text
    assert "c02 is hinted again." in text
