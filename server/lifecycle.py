"""The one door for state: nothing else in the server writes a row's state.

A change locks the row, checks `shared.states`, and writes the state and its event together; the
caller adds what must be sent to the same transaction (`server.outbox`).
"""

from uuid import UUID

from sqlalchemy import func
from sqlalchemy.orm import Session

from server.tables import Assignment, Event, Job, Round
from shared.states import (
    ROUND_TERMINAL,
    AnyState,
    AssignmentState,
    JobState,
    RoundState,
    may_follow,
)

Row = Job | Round | Assignment
Scalar = str | int | float | bool | None


class TransitionError(Exception):
    """A change of state that `shared.states` does not allow."""


def transition(session: Session, row: Row, target: AnyState, **data: Scalar) -> None:
    """Move the locked row to `target` and write its event with `data`. Raises TransitionError.

    Call it before changing other columns of the row: the row is read again under its lock.
    """
    session.refresh(row, with_for_update={"key_share": True})
    if not may_follow(row.state, target):
        raise TransitionError(f"{kind_of(row)} {row.id} is {row.state}: it cannot become {target}")
    match row, target:
        case Job(), JobState():
            row.state = target
            row.updated_at = func.now()
        case Round(), RoundState():
            row.state = target
            if target in ROUND_TERMINAL:
                row.closed_at = func.now()
        case Assignment(), AssignmentState():
            row.state = target
        case _:
            raise TypeError(f"{target!r} is no state of {kind_of(row)}")
    record(session, f"{kind_of(row)}.{target}", _job_id(row), {**_about(row), **data})
    session.flush()


def created(session: Session, row: Row, **data: Scalar) -> None:
    """Add a new row with its first state, and the event of it."""
    session.add(row)
    session.flush()
    session.refresh(row)
    record(session, f"{kind_of(row)}.{row.state}", _job_id(row), {**_about(row), **data})


def record(session: Session, kind: str, job_id: UUID | None, data: dict[str, Scalar]) -> None:
    """Append one event."""
    session.add(Event(kind=kind, job_id=job_id, data=data))


def kind_of(row: Row) -> str:
    """The word for the row: job, round or assignment."""
    return type(row).__name__.lower()


def _job_id(row: Row) -> UUID:
    return row.id if isinstance(row, Job) else row.job_id


def _about(row: Row) -> dict[str, Scalar]:
    match row:
        case Job():
            return {"name": row.name}
        case Round():
            return {"phase": row.phase, "round": row.number}
        case Assignment():
            return {
                "assignment": str(row.id),
                "client": row.client_id,
                "attempt": row.attempt,
            }
