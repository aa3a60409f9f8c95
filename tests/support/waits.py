"""Plain values of a job, a round and an assignment, and why those wait."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from server.rounds.collecting import Terms
from server.waiting.assignments import assignment_waiting
from server.waiting.decide import job_waiting
from server.waiting.facts import AssignmentFacts, Busy, JobFacts, RoundFacts
from shared.messages import AssignmentKind
from shared.states import AssignmentState, JobState, RoundState
from shared.waiting import Waiting

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
JOB = JobFacts(JobState.RUNNING, NOW - MINUTE, NOW, NOW + MINUTE)
PART = AssignmentFacts(
    client="c1",
    kind=AssignmentKind.TRAIN,
    state=AssignmentState.QUEUED,
    attempt=0,
    progress=0.0,
    not_before=NOW,
    hints=0,
    hint_at=NOW + MINUTE,
    lease_until=NOW + MINUTE,
    claimed_at=None,
    seen_at=NOW,
    failure=None,
    busy=None,
)
ELSEWHERE = Busy("another job", NOW + MINUTE)
DONE = replace(PART, client="c0", state=AssignmentState.ACCEPTED)
ROUND = RoundFacts(
    number=2,
    phase=AssignmentKind.TRAIN,
    state=RoundState.OPEN,
    terms=Terms(quorum=2, target=2),
    opened_at=NOW - MINUTE,
    deadline_at=NOW + 10 * MINUTE,
    waits_until=NOW + 10 * MINUTE,
    attempt=1,
    most_attempts=3,
    lease_until=NOW + MINUTE,
    aggregating_since=NOW - MINUTE,
    failure=None,
    read_only=False,
    members=[DONE, PART],
)


def of_job(job: JobFacts, live: RoundFacts | None = ROUND) -> Waiting:
    found = job_waiting(job, live, NOW)
    assert found is not None
    return found


def of_part(part: AssignmentFacts, job: JobFacts = JOB) -> Waiting:
    found = assignment_waiting(part, ROUND, job, NOW)
    assert found is not None
    return found
