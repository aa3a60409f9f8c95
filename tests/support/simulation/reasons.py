"""Why everything waits that has not ended: the product's answer must never be missing."""

from datetime import datetime

from server.rounds import standing
from server.waiting import assignments, decide
from server.waiting.facts import AssignmentFacts, Busy, JobFacts, RoundFacts
from shared.states import ASSIGNMENT_TERMINAL, AssignmentState
from shared.waiting import Cause
from tests.support.simulation.coordinator import MOST_AGGREGATIONS
from tests.support.simulation.rows import Assignment, Job, Round
from tests.support.simulation.store import EPOCH, Store

_UNTIL_SOMEBODY_ACTS = frozenset({Cause.PAUSED, Cause.CLOSING, Cause.AGGREGATION_DUE})


def look(store: Store) -> None:
    """Ask for all reasons. Raises ViolationError."""
    for job in store.jobs:
        _look_at(store, job, store.now)


def _look_at(store: Store, job: Job, now: datetime) -> None:
    require = store.check.require
    facts = JobFacts(job.state, EPOCH, EPOCH, job.due_at)
    live = None if job.live is None else _round(store, job.live)
    why = decide.job_waiting(facts, live, now)
    if why is None:
        require("reasons", live is None, f"{job.name} does not say why it waits")
        return
    require("reasons", why.cause is not Cause.STUCK, f"{job.name} is stuck: {why.sentence}")
    timed = why.until is not None or why.cause in _UNTIL_SOMEBODY_ACTS
    require("reasons", timed and why.owner, f"{job.name} waits for nothing: {why.sentence}")
    over = why.cause is Cause.WAITS_FOR_RESULTS and why.until is not None and why.until <= now
    require("reasons", not over, f"{job.name} waits for what is over: {why.sentence}")
    for member in live.members if live else ():
        if member.state not in ASSIGNMENT_TERMINAL:
            said = live is not None and assignments.assignment_waiting(member, live, facts, now)
            require("reasons", said, f"{member.owner} does not say why it waits")


def _round(store: Store, row: Round) -> RoundFacts:
    spec = row.job.spec
    return RoundFacts(
        number=row.number,
        phase=row.phase,
        state=row.state,
        terms=standing.terms_of(row, spec, len(row.members)),
        opened_at=row.opened_at,
        deadline_at=row.deadline_at,
        waits_until=standing.waits_until(row, spec),
        attempt=row.attempt,
        most_attempts=MOST_AGGREGATIONS,
        lease_until=row.lease_until,
        aggregating_since=None,
        failure=None,
        read_only=False,
        members=[_member(store, member) for member in row.members],
    )


def _member(store: Store, row: Assignment) -> AssignmentFacts:
    others = (other for other in store.open[row.client] if other is not row)
    held = (other for other in others if other.state is AssignmentState.LEASED)
    busy = [Busy(other.job.name, other.lease_until) for other in held]
    return AssignmentFacts(
        client=row.client,
        kind=row.round.phase,
        state=row.state,
        attempt=row.attempt,
        progress=0.0,
        not_before=row.not_before,
        hints=row.hints,
        hint_at=row.hint_at,
        lease_until=row.lease_until,
        claimed_at=None,
        seen_at=None,
        failure=None,
        busy=busy[0] if busy else None,
    )
