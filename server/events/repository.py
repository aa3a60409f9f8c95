"""Queries about events."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from server.tables import Event
from shared.views import EventView

# When the oldest transaction began that has written something and has not ended; else the present.
_BEGUN = text(
    "select coalesce(min(xact_start), clock_timestamp()) from pg_stat_activity "
    "where datname = current_database() and backend_xid is not null"
)
# Between the id and the time of an event its writer may stand still, but not this long.
_SLACK = timedelta(seconds=2)


def after(session: Session, job_id: UUID | None, known: int, limit: int) -> list[EventView]:
    """Events behind `known` that are there, by their ids; of all jobs without `job_id`."""
    query = select(Event).where(Event.id > known).order_by(Event.id).limit(limit)
    if job_id is not None:
        query = query.where(Event.job_id == job_id)
    return [event_view(row) for row in session.scalars(query)]


def but(session: Session, known: int, sent: Collection[int], limit: int) -> list[EventView]:
    """As `after` of all jobs, without those in `sent`."""
    query = select(Event).where(Event.id > known, Event.id.not_in(sent))
    return [event_view(row) for row in session.scalars(query.order_by(Event.id).limit(limit))]


def latest(session: Session, job_id: UUID, before: int | None, limit: int) -> list[EventView]:
    """The job's newest events, newest first; those before `before` if it is given."""
    query = select(Event).where(Event.job_id == job_id)
    if before is not None:
        query = query.where(Event.id < before)
    return [
        event_view(row) for row in session.scalars(query.order_by(Event.id.desc()).limit(limit))
    ]


def event_view(row: Event) -> EventView:
    """The event as operators read it."""
    return EventView(id=row.id, at=row.at, kind=row.kind, job_id=row.job_id, data=row.data)


def newest(session: Session, behind: int) -> dict[UUID | None, int]:
    """The greatest event id of each job that has one behind that."""
    query = select(Event.job_id, func.max(Event.id)).where(Event.id > behind)
    return {row[0]: row[1] for row in session.execute(query.group_by(Event.job_id))}


def begun(session: Session) -> datetime:
    """When the oldest transaction began that may yet show an event; ask before what it is for."""
    found: datetime = session.execute(_BEGUN).scalar_one()
    return found


def settled(session: Session, before: datetime, behind: int) -> int:
    """An id, `behind` at least, up to which all events are there that there will ever be."""
    query = select(func.max(Event.id)).where(Event.id > behind, Event.at < before - _SLACK)
    return session.scalar(query) or behind


def last(session: Session, job_id: UUID) -> int:
    """The id of the job's newest event."""
    return session.scalar(select(func.max(Event.id)).where(Event.job_id == job_id)) or 0


def last_of_all(session: Session) -> int:
    """The id of the newest event, whichever job's."""
    return session.scalar(select(func.max(Event.id))) or 0
