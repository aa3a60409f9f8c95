"""Why a round waits that is to be aggregated, or whose store takes no writes."""

from dataclasses import replace

import pytest

from server.waiting.facts import AggregationFailure, RoundFacts
from shared.messages import AssignmentKind
from shared.states import RoundState
from shared.waiting import Cause
from tests.support.waits import JOB, NOW, ROUND, of_job

pytestmark = pytest.mark.unit


def test_an_aggregating_round() -> None:
    live = replace(ROUND, state=RoundState.AGGREGATING)
    found = of_job(JOB, live)
    assert (found.cause, found.owner, found.until) == (
        Cause.AGGREGATING,
        "coordinator",
        live.lease_until,
    )
    assert "attempt 2" in found.sentence, "one has failed"
    due = of_job(JOB, replace(live, lease_until=NOW))
    assert (due.cause, due.since, due.then) == (
        Cause.AGGREGATION_DUE,
        NOW,
        "Attempt 2 of 3 begins.",
    )


def failed(reason: str, **changes: object) -> RoundFacts:
    """A round whose last attempt at aggregating failed."""
    live = replace(ROUND, state=RoundState.AGGREGATING, failure=AggregationFailure(NOW, reason))
    return replace(live, **changes)  # type: ignore[arg-type]  # the field's own


def test_a_failed_aggregation_says_why_and_what_is_left() -> None:
    live = failed("AggregationError: killed by SIGKILL.")
    found = of_job(JOB, live)
    assert (found.cause, found.owner, found.since, found.until, found.then) == (
        Cause.AGGREGATION_FAILED,
        "coordinator",
        NOW,
        live.lease_until,
        "Attempt 2 of 3 begins.",
    )
    assert found.sentence == (
        "Attempt 1 to aggregate round 2 (train) failed (AggregationError: killed by SIGKILL); "
        "2 of 3 attempts are left, the next from 2026-01-31 12:01:00 UTC on."
    )
    assert of_job(JOB, replace(live, lease_until=NOW)).until is None


def test_the_last_failed_aggregation_says_that_the_job_fails() -> None:
    found = of_job(JOB, failed("ArtifactError: it is gone", attempt=3))
    assert found.then == "The job fails: no attempt is left."
    assert found.sentence.endswith("; 0 of 3 attempts are left.")


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("OSError: [Errno 5] Input/output error", "then restart the coordinator"),
        ("AggregationError: [Errno 28] No space left on device", "free some space"),
        ("ReadOnlyError: [Errno 30] an fsync failed: check the disk", "then restart"),
    ],
)
def test_a_store_that_takes_no_writes_waits_for_the_operator(reason: str, remedy: str) -> None:
    found = of_job(JOB, failed(reason, lease_until=NOW))
    assert (found.cause, found.owner, found.since, found.until) == (
        Cause.STORE_TAKES_NO_WRITES,
        "operator",
        NOW,
        None,
    )
    assert f"({reason})" in found.sentence
    assert remedy in found.sentence


def test_a_full_store_says_when_it_is_tried_again() -> None:
    full = failed("OSError: [Errno 28] No space left on device")
    found = of_job(JOB, full)
    assert (found.cause, found.until) == (Cause.STORE_TAKES_NO_WRITES, full.lease_until)
    assert found.then == "It is tried again."


def test_a_failure_that_is_no_disk_s_is_none_of_the_store() -> None:
    found = of_job(JOB, failed("OSError: [Errno 2] No such file or directory", read_only=True))
    assert found.cause is Cause.AGGREGATION_FAILED


def test_a_read_only_store_of_the_api_holds_up_uploads_and_aggregation() -> None:
    broken = replace(ROUND, read_only=True)
    found = of_job(JOB, broken)
    assert (found.cause, found.owner) == (Cause.STORE_TAKES_NO_WRITES, "operator")
    assert (found.until, found.then) == (ROUND.waits_until, of_job(JOB).then)
    assert "gets no uploads" in found.sentence
    scoring = of_job(JOB, replace(broken, phase=AssignmentKind.EVALUATE))
    assert scoring.cause is Cause.WAITS_FOR_RESULTS, "scores are no files"
    held = replace(broken, state=RoundState.AGGREGATING)
    assert of_job(JOB, held).cause is Cause.AGGREGATING, "the coordinator's store may be sound"
    due = of_job(JOB, replace(held, lease_until=NOW))
    assert (due.cause, due.owner) == (Cause.STORE_TAKES_NO_WRITES, "operator")
