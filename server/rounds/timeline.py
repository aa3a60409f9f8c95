"""When each client worked in each round, as the events tell it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.tables import Assignment, Event, Round
from shared.states import AssignmentState
from shared.timeline import TimelineBar

_KINDS = {f"assignment.{state}": state for state in AssignmentState}
_AFTER_CLOSING = timedelta(minutes=1)  # a round closes when its transaction begins
_WORKING = {AssignmentState.LEASED, AssignmentState.SUSPECT}


@dataclass(frozen=True)
class Change:
    """An assignment's event."""

    assignment: str
    attempt: int
    state: AssignmentState
    at: datetime


def timeline(
    session: Session, job_id: UUID, of: Sequence[Round], client: str | None = None
) -> tuple[TimelineBar, ...]:
    """The attempts of these rounds of the job, those of one client if it is named."""
    rounds = {row.id: row for row in of}
    if not rounds:
        return ()
    members = select(Assignment.id, Assignment.client_id, Assignment.round_id).where(
        Assignment.round_id.in_(rounds)
    )
    if client is not None:
        members = members.where(Assignment.client_id == client)
    whose = {
        str(id_): (rounds[round_id].number, name or "")
        for id_, name, round_id in session.execute(members)
    }
    return tuple(bars(_changes(session, job_id, of), whose))


def _changes(session: Session, job_id: UUID, of: Sequence[Round]) -> Iterable[Change]:
    """All changes while one of these rounds was open, also of assignments of other rounds."""
    query = select(Event.kind, Event.at, Event.data).where(
        Event.job_id == job_id,
        Event.kind.in_(_KINDS),
        Event.at >= min(row.opened_at for row in of),
    )
    closed = [row.closed_at for row in of if row.closed_at is not None]
    if len(closed) == len(of):
        query = query.where(Event.at <= max(closed) + _AFTER_CLOSING)
    for kind, at, data in session.execute(query.order_by(Event.id)):
        yield Change(str(data["assignment"]), int(data["attempt"]), _KINDS[kind], at)


def bars(
    changes: Iterable[Change], whose: Mapping[str, tuple[int, str]]
) -> tuple[TimelineBar, ...]:
    """Each claim with the next change of its assignment that ends the work.

    `whose`: the round's number and the client of each assignment; of others nothing is shown.
    """
    found: dict[str, list[TimelineBar]] = {}
    for change in changes:
        if change.assignment not in whose:
            continue
        number, client = whose[change.assignment]
        attempts = found.setdefault(change.assignment, [])
        known = attempts[-1] if attempts else None
        if change.state in _WORKING and (known is None or known.attempt < change.attempt):
            attempts.append(
                TimelineBar(
                    round=number,
                    client=client,
                    attempt=change.attempt,
                    claimed_at=change.at,
                    ended_at=None,
                    end=None,
                )
            )
        elif change.state not in _WORKING and known is not None and known.end is None:
            attempts[-1] = known.model_copy(update={"ended_at": change.at, "end": change.state})
    every = [bar for attempts in found.values() for bar in attempts]
    return tuple(sorted(every, key=lambda bar: (bar.round, bar.claimed_at, bar.client)))
