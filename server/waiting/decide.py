"""Why a job or a round waits: pure functions; `now` is the database's."""

import errno
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from server.rounds.collecting import Verdict, decide
from server.waiting.facts import AggregationFailure, AssignmentFacts, JobFacts, RoundFacts
from shared.artifacts import FULL
from shared.messages import AssignmentKind
from shared.states import (
    ASSIGNMENT_TERMINAL,
    JOB_TERMINAL,
    AssignmentState,
    JobState,
    RoundState,
)
from shared.waiting import Cause, Waiting

COORDINATOR, OPERATOR = "coordinator", "operator"
_MOST_NAMES = 5
_UPLOADING = frozenset({AssignmentKind.PLAN, AssignmentKind.TRAIN})
_ERRNO = re.compile(r"\[Errno (\d+)\]")  # as an OSError says it, whichever process raised it
_RESTART = "check its disk, then restart the coordinator and the API"
_BROKEN = frozenset({errno.EIO, errno.EROFS})  # a disk that failed, or a store that noticed so


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
    """Why the round itself waits, and who in it has failed."""
    found = _aggregating(live, now) if live.state is RoundState.AGGREGATING else _open(live, now)
    failed = _failed(live.members)
    sentence = f"{found.sentence.removesuffix('.')}; {failed}." if failed else found.sentence
    return found.model_copy(update={"sentence": sentence})


def _open(live: RoundFacts, now: datetime) -> Waiting:
    if _verdict(live, now) is not Verdict.WAIT:
        return Waiting(
            cause=Cause.CLOSING,
            owner=COORDINATOR,
            since=min(live.waits_until, now),
            until=None,
            then="The round closes, is extended, or fails where it lacks its quorum.",
            sentence=f"The coordinator has not yet seen that {live.name} is complete or over.",
        )
    if live.read_only and live.phase in _UPLOADING:
        return _takes_no_uploads(live)
    absent = [m for m in live.members if m.state not in ASSIGNMENT_TERMINAL]
    here, quorum = live.here, live.terms.quorum
    return Waiting(
        cause=Cause.WAITS_FOR_RESULTS,
        owner=_names(absent),
        since=live.opened_at,
        until=live.waits_until,
        then=at_deadline(live),
        sentence=(
            f"{live.name.capitalize()} has {here} of {len(live.members)} results, needs "
            f"{quorum}, and waits for {_names(absent)} until {clock(live.waits_until)}."
        ),
    )


def _takes_no_uploads(live: RoundFacts) -> Waiting:
    return Waiting(
        cause=Cause.STORE_TAKES_NO_WRITES,
        owner=OPERATOR,
        since=live.opened_at,
        until=live.waits_until,
        then=at_deadline(live),
        sentence=(
            f"{live.name.capitalize()} gets no uploads: the API's artifact store takes no writes "
            "since an fsync failed: check its disk, then restart the API."
        ),
    )


def _verdict(live: RoundFacts, now: datetime) -> Verdict:
    states = [m.state for m in live.members]
    late, grace_over = live.deadline_at <= now, live.waits_until <= now
    return decide(states, live.terms, late=late, grace_over=grace_over)


def at_deadline(live: RoundFacts) -> str:
    """What the end of the wait does to the round, with the results that are here now."""
    terms = live.terms
    lacking = terms.quorum - live.here
    if lacking <= 0:
        return "The round closes with the results that are here; the others are superseded."
    unless = f"unless {lacking} more {'results are' if lacking > 1 else 'result is'} here by then."
    if terms.extensions_left:
        asked = f" and asks up to {terms.spare} other clients" if terms.spare else ""
        return f"The round gets another deadline{asked}, {unless}"
    return f"The job fails for want of a quorum, {unless}"


def _aggregating(live: RoundFacts, now: datetime) -> Waiting:
    if live.failure is not None:
        return _store_refused(live, live.failure, now) or _failed_attempt(live, live.failure, now)
    since = live.aggregating_since or live.opened_at
    if live.lease_until > now:
        return Waiting(
            cause=Cause.AGGREGATING,
            owner=COORDINATOR,
            since=since,
            until=live.lease_until,
            then="Another attempt begins, unless the version is published or the lease renewed.",
            sentence=(
                f"The coordinator aggregates {live.name}, attempt {live.attempt + 1}; its "
                f"lease runs until {clock(live.lease_until)}."
            ),
        )
    if live.read_only:
        return _no_writes(
            live, max(since, live.lease_until), "an fsync of the API failed", _RESTART
        )
    return Waiting(
        cause=Cause.AGGREGATION_DUE,
        owner=COORDINATOR,
        since=max(since, live.lease_until),
        until=None,
        then=_next_attempt(live),
        sentence=f"No coordinator has begun to aggregate {live.name} since {clock(since)}.",
    )


def _store_refused(live: RoundFacts, failure: AggregationFailure, now: datetime) -> Waiting | None:
    """Where it was the disk, no attempt succeeds before somebody has seen to it."""
    error = _ERRNO.search(failure.reason)
    number = int(error[1]) if error else None
    if number in FULL:
        found = _no_writes(live, failure.at, _reason(failure), "free some space on its disk")
        again = live.lease_until if live.lease_until > now else None
        return found.model_copy(update={"until": again, "then": "It is tried again."})
    return _no_writes(live, failure.at, _reason(failure), _RESTART) if number in _BROKEN else None


def _no_writes(live: RoundFacts, since: datetime, reason: str, remedy: str) -> Waiting:
    return Waiting(
        cause=Cause.STORE_TAKES_NO_WRITES,
        owner=OPERATOR,
        since=since,
        until=None,
        then="The round is aggregated once the store takes writes.",
        sentence=(
            f"{live.name.capitalize()} cannot be aggregated, for the artifact store takes no "
            f"writes ({reason}): {remedy}."
        ),
    )


def _failed_attempt(live: RoundFacts, failure: AggregationFailure, now: datetime) -> Waiting:
    left = live.most_attempts - live.attempt
    waits = live.lease_until > now
    begins = f", the next from {clock(live.lease_until)} on" if left > 0 else ""
    return Waiting(
        cause=Cause.AGGREGATION_FAILED,
        owner=COORDINATOR,
        since=failure.at,
        until=live.lease_until if waits else None,
        then=_next_attempt(live),
        sentence=(
            f"Attempt {live.attempt} to aggregate {live.name} failed ({_reason(failure)}); "
            f"{max(left, 0)} of {live.most_attempts} attempts are left{begins}."
        ),
    )


def _next_attempt(live: RoundFacts) -> str:
    if live.attempt >= live.most_attempts:
        return "The job fails: no attempt is left."
    return f"Attempt {live.attempt + 1} of {live.most_attempts} begins."


def _reason(failure: AggregationFailure) -> str:
    """The reason as a part of a sentence."""
    return failure.reason.rstrip(". ")


def _failed(members: Sequence[AssignmentFacts]) -> str:
    """Who of a round has failed, and how; empty where nobody has."""
    failed = sorted(
        f"{m.owner} ({m.failure or 'unknown'})"
        for m in members
        if m.state is AssignmentState.FAILED
    )
    return f"failed: {_some(failed)}" if failed else ""


def _names(members: Sequence[AssignmentFacts]) -> str:
    return _some(sorted(m.owner for m in members))


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def clock(at: datetime) -> str:
    """A moment for people, the same everywhere."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
