"""The one door for state: nothing else in the server writes a row's state.

A change locks the row, checks `shared.states`, and writes the state and its event together; the
caller adds what must be sent to the same transaction (`server.outbox`). Each event is a line of the
log too, once it is committed.
"""

import logging
from uuid import UUID

from sqlalchemy import event, func
from sqlalchemy.orm import Session, sessionmaker

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
_log = logging.getLogger(__name__)
_TOLD = "events"  # of a session: what is to be logged once it is committed
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
    _record(session, row, target, data)
    session.flush()


def created(session: Session, row: Row, **data: Scalar) -> None:
    """Add a new row with its first state, and the event of it."""
    session.add(row)
    session.flush()
    session.refresh(row)
    _record(session, row, row.state, data)


def record(session: Session, kind: str, job_id: UUID | None, data: dict[str, Scalar]) -> None:
    """Append one event."""
    session.add(Event(kind=kind, job_id=job_id, data=data))
    _tell_later(session, kind, {"job": job_id, **data})


def _record(session: Session, row: Row, state: AnyState, data: dict[str, Scalar]) -> None:
    kind, told = f"{kind_of(row)}.{state}", {**_about(row), **data}
    session.add(Event(kind=kind, job_id=_job_id(row), data=told))
    more: dict[str, object] = {}
    if isinstance(row, Assignment):
        more = {"round": session.get_one(Round, row.round_id).number, "kind": row.kind}
    _tell_later(session, kind, {"job": _job_id(row), **more, **told})


def _tell_later(session: Session, kind: str, about: dict[str, object]) -> None:
    session.info.setdefault(_TOLD, []).append((kind, about))


def tell(sessions: sessionmaker[Session]) -> None:
    """Have events logged from now on, each when it is committed."""

    def committed(session: Session) -> None:
        for kind, about in session.info.pop(_TOLD, ()):
            _log.info("%s", kind, extra={"about": about})

    event.listen(sessions.class_, "after_commit", committed)


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
