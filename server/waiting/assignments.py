"""Why an assignment waits: pure functions; `now` is the database's."""

from datetime import datetime, timedelta

from server.waiting.decide import COORDINATOR, OPERATOR, at_deadline, clock
from server.waiting.facts import AssignmentFacts, Busy, JobFacts, RoundFacts
from shared.states import ASSIGNMENT_TERMINAL, AssignmentState, JobState
from shared.waiting import Cause, Waiting

SILENT = timedelta(seconds=30)  # a worker that lives has asked for work by then


def assignment_waiting(
    row: AssignmentFacts, live: RoundFacts, job: JobFacts, now: datetime
) -> Waiting | None:
    """Why the assignment of that live round waits; None once it has ended."""
    if row.state in ASSIGNMENT_TERMINAL:
        return None
    if job.state is JobState.CANCELLING:
        return Waiting(
            cause=Cause.CANCELLING,
            owner=COORDINATOR,
            since=job.updated_at,
            until=job.due_at,
            then="The assignment is cancelled; its worker stops at its next heartbeat.",
            sentence="The job is being cancelled.",
        )
    match row.state:
        case AssignmentState.LEASED:
            return _working(row, live)
        case AssignmentState.SUSPECT:
            return _lease_missed(row, live, job)
        case _:
            return _paused(job) or _queued(row, live, now)


def _paused(job: JobFacts) -> Waiting | None:
    if job.state is not JobState.PAUSED:
        return None
    return Waiting(
        cause=Cause.PAUSED,
        owner=OPERATOR,
        since=job.updated_at,
        until=None,
        then="It can be claimed when an operator resumes the job.",
        sentence="An operator has paused the job.",
    )


def _working(row: AssignmentFacts, live: RoundFacts) -> Waiting:
    since = row.claimed_at or live.opened_at
    return Waiting(
        cause=Cause.WORKING,
        owner=row.owner,
        since=since,
        until=row.lease_until,
        then="It counts as suspect, unless the worker renews its lease before.",
        sentence=(
            f"{row.who} works on {live.name} since {clock(since)}, attempt {row.attempt}, "
            f"{row.progress:.0%} done; its lease runs until {clock(row.lease_until)}."
        ),
    )


def _lease_missed(row: AssignmentFacts, live: RoundFacts, job: JobFacts) -> Waiting:
    """Until the round does something about those who are late; a paused job's round does not."""
    paused = job.state is JobState.PAUSED
    end = "The job is paused, and the round waits." if paused else at_deadline(live)
    return Waiting(
        cause=Cause.LEASE_MISSED,
        owner=row.owner,
        since=row.lease_until,
        until=None if paused else live.waits_until,
        then=f"{end} Until then the same worker may resume the assignment.",
        sentence=(
            f"{row.who} has sent no heartbeat in attempt {row.attempt}: its lease ended at "
            f"{clock(row.lease_until)}."
        ),
    )


def _queued(row: AssignmentFacts, live: RoundFacts, now: datetime) -> Waiting:
    if row.not_before > now:
        return Waiting(
            cause=Cause.PAUSE_AFTER_FAILURE,
            owner=row.owner,
            since=row.claimed_at or now,
            until=row.not_before,
            then=f"{row.who} may claim it again.",
            sentence=(
                f"Attempt {row.attempt} of {row.owner} failed ({row.failure or 'unknown'}); the "
                f"next may begin at {clock(row.not_before)}."
            ),
        )
    if row.busy is not None:
        return _works_elsewhere(row, row.busy, live)
    return _silent(row, now) or _not_claimed(row, now)


def _works_elsewhere(row: AssignmentFacts, busy: Busy, live: RoundFacts) -> Waiting:
    """Until its lease there ends, or this round does."""
    then = f"{row.who} may claim it, unless it renews its lease there before."
    if live.waits_until < busy.lease_until:
        then = f"{at_deadline(live)} Until then {row.who} may claim it, once it is done there."
    return Waiting(
        cause=Cause.CLIENT_BUSY,
        owner=row.owner,
        since=row.not_before,
        until=min(busy.lease_until, live.waits_until),
        then=then,
        sentence=f"{row.who} works on another assignment, of job {busy.job}.",
    )


def _silent(row: AssignmentFacts, now: datetime) -> Waiting | None:
    """A client that has said nothing for long while there is work; the planner leaves no trace."""
    quiet_since = max(row.seen_at or row.not_before, row.not_before)
    if row.client is None or now - quiet_since < SILENT:
        return None
    last = f"since {clock(row.seen_at)}" if row.seen_at else "ever"
    return Waiting(
        cause=Cause.CLIENT_SILENT,
        owner=row.owner,
        since=row.seen_at or row.not_before,
        until=row.hint_at,
        then=f"{row.who} is hinted again; start its worker if it does not run.",
        sentence=f"{row.who} was not heard of {last}, and was hinted {row.hints + 1} times.",
    )


def _not_claimed(row: AssignmentFacts, now: datetime) -> Waiting:
    """A worker that lives claims at once, unless it is at work for another of its clients."""
    lives = ""
    if row.seen_at is not None and now - row.not_before >= SILENT:
        lives = f"; its worker, heard of at {clock(row.seen_at)}, may work for another client"
    return Waiting(
        cause=Cause.NOT_CLAIMED,
        owner=row.owner,
        since=row.not_before,
        until=row.hint_at,
        then=f"{row.who} is hinted again.",
        sentence=f"{row.who} has not claimed the assignment yet{lives}.",
    )
