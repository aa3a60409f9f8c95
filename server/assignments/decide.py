"""What a claim, a heartbeat or a report does to an assignment: decided without the database.

Rows and leases are anything that has these fields. All times are the database's.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from shared.messages import Instruction
from shared.states import (
    ASSIGNMENT_CLAIMABLE,
    ASSIGNMENT_HELD,
    JOB_TERMINAL,
    AssignmentState,
    JobState,
)

ENDED = JOB_TERMINAL | {JobState.CANCELLING}
WORKING = frozenset(JobState) - ENDED - {JobState.PAUSED}
FIRST_HINT = timedelta(seconds=5)  # a wake-up goes out at once; the timer repeats it
_HINTS = tuple(timedelta(seconds=s) for s in (15, 45, 60))
_LONGEST_DELAY = timedelta(minutes=1)


class Lease(Protocol):
    """Under which lease somebody speaks; `attempt` fences off earlier holders."""

    @property
    def lease_id(self) -> UUID:
        """Drawn anew by each claim."""

    @property
    def attempt(self) -> int:
        """Counted up by each claim."""


class Row(Lease, Protocol):
    """What of an assignment decides."""

    state: AssignmentState
    released: int
    lease_until: datetime
    not_before: datetime


class Claiming(StrEnum):
    """What a claim does to an assignment."""

    NOTHING = "nothing"
    EXHAUST = "exhaust"  # it has failed: no attempt is left
    LEASE = "lease"
    AGAIN = "again"  # the claim was answered before, and the answer was lost


class Renewal(StrEnum):
    """What becomes of the lease that a worker shows."""

    NO = "no"
    RENEW = "renew"
    RESUME = "resume"  # it was suspect


class Reception(StrEnum):
    """What becomes of a result."""

    REPEATED = "repeated"
    STALE = "stale"
    TAKE = "take"


def claiming(
    job: JobState,
    row: Row,
    now: datetime,
    lease_id: UUID | None,
    *,
    busy: bool,
    max_attempts: int,
) -> Claiming:
    """What a claim under a lease of that name does, which is new or answered already.

    A client that is `busy` under a live lease gets no other.
    """
    if row.state is AssignmentState.LEASED and row.lease_id == lease_id and job not in ENDED:
        return Claiming.AGAIN
    if job not in WORKING or busy:
        return Claiming.NOTHING
    if row.state is AssignmentState.SUSPECT and row.lease_id == lease_id:
        return Claiming.AGAIN
    if row.state not in ASSIGNMENT_CLAIMABLE or row.not_before > now:
        return Claiming.NOTHING
    return Claiming.EXHAUST if tries(row) >= max_attempts else Claiming.LEASE


def tries(row: Row) -> int:
    """How many attempts count: those that no worker gave back."""
    return row.attempt - row.released


def is_current(row: Row, held: Lease) -> bool:
    """Whether the lease is the one under which the assignment is being worked on."""
    same = row.lease_id == held.lease_id and row.attempt == held.attempt
    return same and row.state in ASSIGNMENT_HELD


def may_speak(job: JobState, row: Row, held: Lease) -> bool:
    """Whether a report or an upload under this lease is heard."""
    return is_current(row, held) and job not in ENDED


def may_write(row: Row, attempt: int) -> bool:
    """Whether bytes of that attempt may still come."""
    return row.attempt == attempt and row.state in ASSIGNMENT_HELD


def renewal(job: JobState, row: Row, held: Lease, *, busy: bool) -> Renewal:
    """What a heartbeat or a takeover does; a suspect lease is resumed unless the client is busy."""
    if not may_speak(job, row, held):
        return Renewal.NO
    if row.state is AssignmentState.SUSPECT:
        return Renewal.NO if busy else Renewal.RESUME
    return Renewal.RENEW


def instruction(job: JobState, row: Row, renewed: Renewal) -> Instruction:
    """What a heartbeat's worker is to do."""
    if job in ENDED or row.state is AssignmentState.CANCELLED:
        return Instruction.CANCEL
    return Instruction.STALE if renewed is Renewal.NO else Instruction.CONTINUE


def reception(job: JobState, row: Row, held: Lease, *, same: bool) -> Reception:
    """What becomes of a result; `same` as the one that is recorded answers the same again."""
    if row.state is AssignmentState.ACCEPTED and same:
        return Reception.REPEATED
    return Reception.TAKE if may_speak(job, row, held) else Reception.STALE


def after_failure(row: Row, *, retryable: bool, free: bool, max_attempts: int) -> AssignmentState:
    """Queued again where that may help, else failed; a `free` attempt does not count."""
    again = retryable and tries(row) - free < max_attempts
    return AssignmentState.QUEUED if again else AssignmentState.FAILED


def pause_after_failure(row: Row, first: timedelta) -> timedelta:
    """How long a failed assignment waits before it may be claimed again."""
    pause_s = first.total_seconds() * 2.0 ** (tries(row) - 1)
    return timedelta(seconds=min(pause_s, _LONGEST_DELAY.total_seconds()))


def is_missed(row: Row, now: datetime) -> bool:
    """Whether the lease has run out, so that the assignment is suspect."""
    return row.state is AssignmentState.LEASED and row.lease_until < now


def pause_after_hint(hints: int) -> timedelta:
    """When the worker is hinted once more, after `hints` repetitions."""
    return _HINTS[min(hints, len(_HINTS) - 1)]
