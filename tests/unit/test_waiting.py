"""Each cause of waiting, decided from plain values."""

from dataclasses import replace

import pytest

from server.rounds.collecting import Terms
from server.waiting.assignments import assignment_waiting
from server.waiting.decide import job_waiting, round_waiting
from server.waiting.facts import AssignmentFacts, RoundFacts
from shared.states import (
    ASSIGNMENT_TERMINAL,
    JOB_TERMINAL,
    AssignmentState,
    JobState,
    RoundState,
)
from shared.waiting import Cause
from tests.support.waits import DONE, ELSEWHERE, JOB, MINUTE, NOW, PART, ROUND, of_job, of_part

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("state", "cause", "owner"),
    [
        (JobState.SUBMITTED, Cause.NOT_LOOKED_AT, "coordinator"),
        (JobState.PAUSED, Cause.PAUSED, "operator"),
        (JobState.CANCELLING, Cause.CANCELLING, "coordinator"),
        (JobState.RUNNING, Cause.STUCK, "operator"),
        (JobState.EVALUATING, Cause.STUCK, "operator"),
    ],
)
def test_a_job_without_a_round(state: JobState, cause: Cause, owner: str) -> None:
    found = of_job(replace(JOB, state=state), None)
    assert (found.cause, found.owner) == (cause, owner)


def test_an_open_round_names_whom_it_waits_for_and_what_the_deadline_does() -> None:
    found = of_job(JOB)
    assert found == round_waiting(JOB, ROUND, NOW)
    assert (found.cause, found.owner, found.until) == (
        Cause.WAITS_FOR_RESULTS,
        "c1",
        ROUND.deadline_at,
    )
    assert found.sentence == (
        "Round 2 (train) has 1 of 2 results, needs 2, and waits for c1 until "
        "2026-01-31 12:10:00 UTC."
    )
    assert found.then == (
        "The job fails for want of a quorum, unless 1 more result is here by then."
    )
    enough = round_waiting(JOB, replace(ROUND, terms=Terms(quorum=1, target=2)), NOW)
    assert enough.then.startswith("The round closes with the results that are here")
    more = Terms(quorum=2, target=2, spare=3, extensions_left=1)
    assert round_waiting(JOB, replace(ROUND, terms=more), NOW).then == (
        "The round gets another deadline and asks up to 3 other clients, unless 1 more result is "
        "here by then."
    )


SUSPECT = replace(PART, state=AssignmentState.SUSPECT, attempt=1, lease_until=NOW - MINUTE)
GRACE = replace(
    ROUND,
    terms=Terms(quorum=1, target=2),
    waits_until=NOW + MINUTE,
    members=[DONE, PART],
)
ENDS = "The round closes with the results that are here; the others are superseded."


def test_a_round_with_its_quorum_waits_until_its_grace_ends() -> None:
    terms = Terms(quorum=1, target=2)
    live = replace(ROUND, terms=terms, waits_until=NOW + MINUTE)
    assert round_waiting(JOB, live, NOW).until == NOW + MINUTE
    assert round_waiting(JOB, replace(live, waits_until=NOW), NOW).cause is Cause.CLOSING


def test_many_names_are_cut() -> None:
    many = [replace(PART, client=f"c{n}") for n in range(8)]
    found = round_waiting(JOB, replace(ROUND, members=many), NOW)
    assert found.owner == "c0, c1, c2, c3, c4 and 3 more"


@pytest.mark.parametrize(
    "live",
    [replace(ROUND, members=[DONE, DONE]), replace(ROUND, deadline_at=NOW, waits_until=NOW)],
    ids=["complete", "late"],
)
def test_a_round_that_can_end_waits_for_the_coordinator(live: RoundFacts) -> None:
    found = round_waiting(JOB, live, NOW)
    assert (found.cause, found.owner) == (Cause.CLOSING, "coordinator")


@pytest.mark.parametrize("state", [RoundState.OPEN, RoundState.AGGREGATING])
def test_whoever_failed_is_named_with_the_code(state: RoundState) -> None:
    out = replace(PART, client="c3", state=AssignmentState.FAILED, failure="diverged")
    silent = replace(out, client="c2", failure=None)
    live = replace(ROUND, state=state, members=[DONE, PART, out, silent])
    found = of_job(JOB, live)
    assert found == round_waiting(JOB, live, NOW)
    assert found.sentence.endswith("; failed: c2 (unknown), c3 (diverged).")


def test_a_client_is_busy_until_its_lease_elsewhere_or_its_round_ends() -> None:
    found = of_part(replace(PART, busy=ELSEWHERE))
    assert (found.until, found.then) == (
        ELSEWHERE.lease_until,
        "c1 may claim it, unless it renews its lease there before.",
    )
    elsewhere = replace(PART, busy=replace(ELSEWHERE, lease_until=NOW + 60 * MINUTE))
    long = assignment_waiting(elsewhere, GRACE, JOB, NOW)
    assert long is not None
    assert long.until == GRACE.waits_until < GRACE.deadline_at
    assert long.then == f"{ENDS} Until then c1 may claim it, once it is done there."


@pytest.mark.parametrize(
    ("job", "cause"), [(JobState.PAUSED, Cause.PAUSED), (JobState.CANCELLING, Cause.CANCELLING)]
)
def test_the_job_s_state_holds_up_its_round_and_what_is_queued(job: JobState, cause: Cause) -> None:
    held = replace(JOB, state=job)
    assert round_waiting(held, ROUND, NOW).cause is cause
    assert of_part(PART, held).cause is cause


def test_a_paused_job_s_worker_still_works() -> None:
    leased = replace(PART, state=AssignmentState.LEASED, attempt=1, progress=0.4, claimed_at=NOW)
    found = of_part(leased, replace(JOB, state=JobState.PAUSED))
    assert (found.cause, found.owner, found.since) == (Cause.WORKING, "c1", NOW)
    assert found.until == leased.lease_until
    assert "attempt 1, 40% done" in found.sentence


@pytest.mark.parametrize(
    ("live", "end"),
    [
        (
            replace(ROUND, terms=replace(ROUND.terms, extensions_left=1)),
            "The round gets another deadline, unless",
        ),
        (replace(ROUND, terms=Terms(quorum=1, target=2)), "The job fails for want of a quorum"),
    ],
    ids=["extension", "quorum"],
)
def test_a_missed_lease_may_resume_until_the_round_ends(live: RoundFacts, end: str) -> None:
    found = assignment_waiting(SUSPECT, replace(live, members=[SUSPECT]), JOB, NOW)
    assert found is not None
    assert (found.cause, found.since) == (Cause.LEASE_MISSED, SUSPECT.lease_until)
    assert found.until == live.deadline_at
    assert found.then.startswith(end)
    assert found.then.endswith("Until then the same worker may resume the assignment.")


def test_a_missed_lease_may_resume_until_the_grace_ends_or_the_job_is_resumed() -> None:
    found = assignment_waiting(SUSPECT, GRACE, JOB, NOW)
    assert found is not None
    assert found.until == GRACE.waits_until < GRACE.deadline_at
    assert found.then.startswith(ENDS)
    paused = assignment_waiting(SUSPECT, GRACE, replace(JOB, state=JobState.PAUSED), NOW)
    assert paused is not None
    assert paused.until is None, "a paused job's deadlines move on"
    assert paused.then.startswith("The job is paused")


@pytest.mark.parametrize(
    ("part", "cause"),
    [
        (PART, Cause.NOT_CLAIMED),
        (replace(PART, not_before=NOW - 3 * MINUTE, seen_at=NOW - MINUTE), Cause.CLIENT_SILENT),
        (replace(PART, not_before=NOW + MINUTE, failure="internal"), Cause.PAUSE_AFTER_FAILURE),
        (replace(PART, busy=ELSEWHERE), Cause.CLIENT_BUSY),
        (replace(PART, not_before=NOW - MINUTE, seen_at=None), Cause.CLIENT_SILENT),
        (replace(PART, not_before=NOW - MINUTE, seen_at=NOW - 2 * MINUTE), Cause.CLIENT_SILENT),
        (replace(PART, not_before=NOW - MINUTE, seen_at=NOW), Cause.NOT_CLAIMED),
        (replace(PART, seen_at=None), Cause.NOT_CLAIMED),
    ],
)
def test_what_is_queued(part: AssignmentFacts, cause: Cause) -> None:
    found = of_part(part)
    assert (found.cause, found.owner) == (cause, "c1")


def test_a_worker_that_lives_and_does_not_claim_may_be_at_work_for_another_client() -> None:
    assert of_part(PART).sentence == "c1 has not claimed the assignment yet."
    found = of_part(replace(PART, not_before=NOW - MINUTE, seen_at=NOW))
    assert found.sentence == (
        "c1 has not claimed the assignment yet; its worker, heard of at 2026-01-31 12:00:00 UTC, "
        "may work for another client."
    )


def test_the_planner_leaves_no_trace() -> None:
    found = of_part(replace(PART, client=None, not_before=NOW - MINUTE, seen_at=None))
    assert (found.cause, found.owner) == (Cause.NOT_CLAIMED, "planner")
    assert found.sentence == "The planner has not claimed the assignment yet."


def test_what_has_ended_waits_for_nothing() -> None:
    for state in JOB_TERMINAL:
        assert job_waiting(replace(JOB, state=state), None, NOW) is None
    for end in ASSIGNMENT_TERMINAL:
        assert assignment_waiting(replace(PART, state=end), ROUND, JOB, NOW) is None


@pytest.mark.parametrize("job", sorted(set(JobState) - JOB_TERMINAL))
@pytest.mark.parametrize("state", sorted(set(AssignmentState) - ASSIGNMENT_TERMINAL))
def test_whatever_has_not_ended_has_a_sentence(job: JobState, state: AssignmentState) -> None:
    found = of_part(replace(PART, state=state), replace(JOB, state=job))
    for text in (found.sentence, found.then):
        assert text.endswith(".")
    assert found.owner
