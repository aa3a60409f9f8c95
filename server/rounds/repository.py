"""Queries about rounds and their assignments."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import Session

from server.columns import among
from server.errors import not_found
from server.paging import Behind, Column, Order, number
from server.tables import Assignment, Event, Round, UploadedComponent, Version
from shared.messages import AssignmentKind
from shared.states import ASSIGNMENT_ACTIVE, ROUND_TERMINAL, AssignmentState, RoundState
from shared.views import NumberOrder, RoundOrder


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rounds: in any state without one."""

    states: Sequence[RoundState] = ()
    phase: AssignmentKind = AssignmentKind.TRAIN
    after: int | None = None  # only those of greater numbers
    client: str | None = None  # only those that asked it


def sorted_by(sort: NumberOrder | RoundOrder, of: str = "rounds") -> Order[Round]:
    """How a list of rounds, or of what was in them, goes."""
    return Order(of, sort, Column(Round.number, lambda row: row.number, number))


def that_asked(client: str) -> ColumnElement[bool]:
    """Rounds in which the client was asked."""
    return exists().where(Assignment.round_id == Round.id, Assignment.client_id == client)


_OLDEST_FIRST, _OF_TRAINING = sorted_by("number").behind(), Wanted()


def live_round(session: Session, job_id: UUID) -> Round | None:
    """The job's round that is not closed; an index allows one at most."""
    live = set(RoundState) - ROUND_TERMINAL
    return session.scalars(
        select(Round).where(Round.job_id == job_id, Round.state.in_(live))
    ).one_or_none()


def rounds_of(
    session: Session,
    job_id: UUID,
    wanted: Wanted = _OF_TRAINING,
    behind: Behind = _OLDEST_FIRST,
    limit: int | None = None,
) -> list[Round]:
    """The job's rounds as wanted, in an order from some place on."""
    query = select(Round).where(Round.job_id == job_id, Round.phase == wanted.phase)
    if wanted.states:
        query = query.where(Round.state.in_(wanted.states))
    if wanted.after is not None:
        query = query.where(Round.number > wanted.after)
    if wanted.client is not None:
        query = query.where(that_asked(wanted.client))
    return list(session.scalars(behind(query).limit(limit)))


def round_of(
    session: Session, job_id: UUID, number: int, phase: AssignmentKind = AssignmentKind.TRAIN
) -> Round:
    """The job's round of that number in a phase. Raises ProblemError (404)."""
    query = select(Round).where(
        Round.job_id == job_id, Round.phase == phase, Round.number == number
    )
    row = session.scalars(query).one_or_none()
    if row is None:
        raise not_found("round")
    return row


def assignments(session: Session, round_id: UUID) -> list[Assignment]:
    """A round's assignments in client order."""
    query = select(Assignment).where(Assignment.round_id == round_id)
    return list(session.scalars(query.order_by(Assignment.client_id)))


def job_assignments(session: Session, job_id: UUID, client: str | None = None) -> list[Assignment]:
    """All assignments of a job, or those of one client, oldest round first, in client order."""
    query = (
        select(Assignment)
        .join(Round, Round.id == Assignment.round_id)
        .where(Assignment.job_id == job_id)
        .order_by(Round.opened_at, Round.number, Assignment.client_id)
    )
    if client is not None:
        query = query.where(Assignment.client_id == client)
    return list(session.scalars(query))


def active_assignments(session: Session, job_id: UUID) -> list[Assignment]:
    """The job's assignments that have not ended, locked."""
    query = (
        select(Assignment)
        .where(Assignment.job_id == job_id, Assignment.state.in_(ASSIGNMENT_ACTIVE))
        .order_by(Assignment.id)
        .with_for_update()
    )
    return list(session.scalars(query))


def accepted(session: Session, round_id: UUID) -> list[Assignment]:
    """A round's accepted assignments in client order."""
    return [a for a in assignments(session, round_id) if a.state == AssignmentState.ACCEPTED]


def uploaded_bytes(session: Session, assignment_ids: Iterable[UUID]) -> int:
    """Bytes of the components that have arrived for these assignments."""
    query = select(func.sum(UploadedComponent.n_bytes)).where(
        among(UploadedComponent.assignment_id, assignment_ids)
    )
    return int(session.scalar(query) or 0)


def failed_assignments(session: Session, job_id: UUID) -> list[Assignment]:
    """The clients' assignments of the job that failed, newest first."""
    query = select(Assignment).where(
        Assignment.job_id == job_id,
        Assignment.client_id.is_not(None),
        Assignment.state == AssignmentState.FAILED,
    )
    return list(session.scalars(query.order_by(Assignment.created_at.desc(), Assignment.id)))


def last_failure(session: Session, row: Assignment) -> str | None:
    """How the newest of its attempts ended that failed and left it for another, by the events."""
    query = select(Event.data).where(
        Event.job_id == row.job_id,
        Event.kind == f"assignment.{AssignmentState.QUEUED}",
        Event.data["assignment"].as_string() == str(row.id),
        Event.data["code"].as_string().is_not(None),
    )
    data = session.scalars(query.order_by(Event.id.desc()).limit(1)).first()
    return data and f"attempt {data['attempt']} ended with {data['code']} ({data['reason']})"


def published_version(session: Session, round_id: UUID) -> int | None:
    """The version that a round published."""
    return session.scalar(select(Version.number).where(Version.round_id == round_id))


def database_now(session: Session) -> datetime:
    """Postgres's clock, the only one that decides."""
    return session.execute(select(func.now())).scalar_one()
