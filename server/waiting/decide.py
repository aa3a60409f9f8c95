"""Why a job or a round waits: pure functions; `now` is the database's."""

from datetime import UTC, datetime

from server.rounds.collecting import Verdict, decide
from server.waiting.facts import AssignmentFacts, JobFacts, RoundFacts
from shared.states import ASSIGNMENT_TERMINAL, JOB_TERMINAL, AssignmentState, JobState, RoundState
from shared.waiting import Cause, Waiting

COORDINATOR, OPERATOR = "coordinator", "operator"
_MOST_NAMES = 5


def job_waiting(job: JobFacts, live: RoundFacts | None, now: datetime) -> Waiting | None:
    """Why the job waits; None once it has ended."""
    if job.state in JOB_TERMINAL:
        return None
    held = _held_up(job, "job")
    if held is not None:
        return held
    if job.state is JobState.SUBMITTED:
        return Waiting(
            cause=Cause.NOT_LOOKED_AT,
            owner=COORDINATOR,
            since=job.created_at,
            until=job.due_at,
            then="The planner is asked for version 0.",
            sentence="The coordinator has not looked at the job yet.",
        )
    return _stuck(job) if live is None else _round(live, now)


def round_waiting(job: JobFacts, live: RoundFacts, now: datetime) -> Waiting:
    """Why a round that is not closed waits."""
    return _held_up(job, "round") or _round(live, now)


def _held_up(job: JobFacts, what: str) -> Waiting | None:
    """The job's own state may hold up all that is in it."""
    if job.state is JobState.PAUSED:
        return Waiting(
            cause=Cause.PAUSED,
            owner=OPERATOR,
            since=job.updated_at,
            until=None,
            then=f"The {what} goes on when an operator resumes the job.",
            sentence="An operator has paused the job.",
        )
    if job.state is JobState.CANCELLING:
        return Waiting(
            cause=Cause.CANCELLING,
            owner=COORDINATOR,
            since=job.updated_at,
            until=job.due_at,
            then=f"The {what} ends without waiting for its workers.",
            sentence="The job is being cancelled.",
        )
    return None


def _stuck(job: JobFacts) -> Waiting:
    return Waiting(
        cause=Cause.STUCK,
        owner=OPERATOR,
        since=job.updated_at,
        until=None,
        then="Nothing happens by itself: cancel the job and submit it again.",
        sentence=f"The job is {job.state} but none of its rounds is open: report this fault.",
    )


def _round(live: RoundFacts, now: datetime) -> Waiting:
    if live.state is RoundState.AGGREGATING:
        return _aggregating(live, now)
    late = live.deadline_at <= now
    if decide([m.state for m in live.members], live.quorum, late=late) is not Verdict.WAIT:
        return Waiting(
            cause=Cause.CLOSING,
            owner=COORDINATOR,
            since=min(live.deadline_at, now),
            until=None,
            then="The round closes, or fails where it lacks its quorum.",
            sentence=f"The coordinator has not yet seen that {live.name} is complete or over.",
        )
    absent = [m for m in live.members if m.state not in ASSIGNMENT_TERMINAL]
    here = sum(m.state is AssignmentState.ACCEPTED for m in live.members)
    return Waiting(
        cause=Cause.WAITS_FOR_RESULTS,
        owner=_names(absent),
        since=live.opened_at,
        until=live.deadline_at,
        then=at_deadline(here, live.quorum),
        sentence=(
            f"{live.name.capitalize()} has {here} of {len(live.members)} results, needs "
            f"{live.quorum}, and waits for {_names(absent)} until {clock(live.deadline_at)}."
        ),
    )


def at_deadline(here: int, quorum: int) -> str:
    """What the deadline does to a round with `here` results."""
    if here >= quorum:
        return "The round closes with the results that are here; the others are superseded."
    return (
        f"The job fails for want of a quorum, unless {quorum - here} more "
        f"{'results are' if quorum - here > 1 else 'result is'} here by then."
    )


def _aggregating(live: RoundFacts, now: datetime) -> Waiting:
    since = live.aggregating_since or live.opened_at
    if live.lease_until > now:
        return Waiting(
            cause=Cause.AGGREGATING,
            owner=COORDINATOR,
            since=since,
            until=live.lease_until,
            then="Another attempt begins, unless the version is published or the lease renewed.",
            sentence=(
                f"The coordinator aggregates {live.name}, attempt {live.attempt}; its lease runs "
                f"until {clock(live.lease_until)}."
            ),
        )
    return Waiting(
        cause=Cause.AGGREGATION_DUE,
        owner=COORDINATOR,
        since=max(since, live.lease_until),
        until=None,
        then=f"Attempt {live.attempt + 1} begins.",
        sentence=f"No coordinator has begun to aggregate {live.name} since {clock(since)}.",
    )


def _names(members: list[AssignmentFacts]) -> str:
    owners = sorted(m.owner for m in members)
    more = len(owners) - _MOST_NAMES
    return ", ".join(owners[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def clock(at: datetime) -> str:
    """A moment for people, the same everywhere."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
