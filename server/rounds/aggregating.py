"""Who may aggregate a round, and publish what came out: decided without the database."""

from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from shared.states import JobState, RoundState


class Row(Protocol):
    """What of a round decides."""

    state: RoundState
    attempt: int
    lease_id: UUID
    lease_until: datetime


class Next(StrEnum):
    """What a coordinator does with a round that is to be aggregated."""

    WAIT = "wait"  # somebody holds it
    GIVE_UP = "give_up"
    TAKE = "take"


class Publishing(StrEnum):
    """What becomes of an average that is ready."""

    LOST = "lost"  # the round is another aggregator's
    PUT_BACK = "put_back"  # the job was paused: it is made again
    PUBLISH = "publish"


def next_attempt(row: Row, now: datetime, most: int) -> Next:
    """Wait for the holder's lease; then try, at most `most` times."""
    if row.lease_until > now:
        return Next.WAIT
    return Next.GIVE_UP if row.attempt >= most else Next.TAKE


def holds(row: Row, lease_id: UUID) -> bool:
    """Whether the round is still to be aggregated, by the holder of that lease."""
    return row.lease_id == lease_id and row.state is RoundState.AGGREGATING


def publishing(job: JobState, row: Row, lease_id: UUID) -> Publishing:
    """Compare before the version is set: one aggregator at most gets here with its lease."""
    if not holds(row, lease_id):
        return Publishing.LOST
    return Publishing.PUBLISH if job is JobState.RUNNING else Publishing.PUT_BACK
