"""What the command line says about waiting."""

import io
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from cli.waiting import QUIET_S, Quiet, ago, waiting_table
from server import examples
from shared.states import JobState
from shared.views import JobView
from shared.waiting import WaitingList

pytestmark = pytest.mark.unit
BEGAN = datetime(2026, 1, 31, 12, tzinfo=UTC)
JOB = JobView.model_validate({**examples.JOB, "id": uuid.uuid4()})


def test_a_quiet_job_says_why_after_some_seconds() -> None:
    quiet = Quiet()
    assert quiet.sentence(JOB, (), 0) == ""
    assert quiet.sentence(JOB, (), QUIET_S - 1) == ""
    assert JOB.waiting is not None
    text = quiet.sentence(JOB, (), QUIET_S)
    assert text == JOB.waiting.sentence


def test_a_change_ends_the_quiet() -> None:
    quiet = Quiet()
    quiet.sentence(JOB, (), 0)
    moved = JOB.model_copy(update={"round": 3})
    assert quiet.sentence(moved, (), QUIET_S) == ""
    assert quiet.sentence(moved, (), QUIET_S + 1) == ""
    ended = moved.model_copy(update={"state": JobState.SUCCEEDED, "waiting": None})
    assert quiet.sentence(ended, (), 2 * QUIET_S) == ""
    assert quiet.sentence(ended, (), 9 * QUIET_S) == ""


def shown(width: int) -> str:
    """The table of the example at a terminal of that width, a minute behind the beginning."""
    console = Console(width=width, file=io.StringIO(), record=True)
    found = WaitingList.model_validate(examples.WAITING)
    console.print(waiting_table(found, BEGAN + timedelta(minutes=1)))
    return console.export_text()


def test_the_table_names_owner_cause_since_end_and_what_follows() -> None:
    text = shown(300)
    assert "assignment c02" in text
    assert "c02 (not_claimed): c02 has not claimed the assignment yet." in text
    assert "c02 (waits_for_results): Round 2" in text
    assert "1 min" in text
    assert (BEGAN + timedelta(minutes=10)).astimezone().strftime("%H:%M:%S") in text
    assert "c02 is hinted again." in text


def test_the_table_is_readable_in_100_columns() -> None:
    lines = shown(100).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 100
    assert len(lines) < 20
    words = {word for line in lines for word in line.split()}
    assert {"(waits_for_results):", "(not_claimed):", "min"} <= words
    assert "…" not in "".join(lines)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (59, "59 s"), (60, "1 min"), (7199, "1 h"), (200_000, "2 d")],
)
def test_a_time_that_has_passed(seconds: int, text: str) -> None:
    assert ago(timedelta(seconds=seconds)) == text


def test_another_day_has_its_date() -> None:
    console = Console(width=300, file=io.StringIO(), record=True)
    found = WaitingList.model_validate(examples.WAITING)
    console.print(waiting_table(found, BEGAN - timedelta(days=2)))
    assert (BEGAN + timedelta(minutes=10)).astimezone().strftime("%m-%d %H:%M") in (
        console.export_text()
    )
