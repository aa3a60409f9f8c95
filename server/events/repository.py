"""Queries about events."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, or_, select, text
from sqlalchemy.orm import Session

from server.paging import Behind, Column, Order, number
from server.tables import Event
from shared.views import EventOrder, EventView

# When the oldest transaction began that has written something and has not ended; else the present.
_BEGUN = text(
    "select coalesce(min(xact_start), clock_timestamp()) from pg_stat_activity "
    "where datname = current_database() and backend_xid is not null"
)
# Between the id and the time of an event its writer may stand still, but not this long.
_SLACK = timedelta(seconds=2)


@dataclass(frozen=True)
class Wanted:
    """Which events: of all jobs without a job, of all kinds without any."""

    job_id: UUID | None = None
    kinds: Sequence[str] = ()  # whole, or what stands before the point: round, round.published
    known: int = 0  # only those behind this one
    without: Collection[int] = ()


def sorted_by(sort: EventOrder) -> Order[EventView]:
    """How a list of events goes."""
    return Order("events", sort, Column(Event.id, lambda row: row.id, number))


_OLDEST_FIRST = sorted_by("id").behind()


def listed(
    session: Session, wanted: Wanted, limit: int, behind: Behind = _OLDEST_FIRST
) -> list[EventView]:
    """Events that are there, in an order from some place on."""
    query = select(Event).where(Event.id > wanted.known)
    if wanted.job_id is not None:
        query = query.where(Event.job_id == wanted.job_id)
    if wanted.kinds:
        before_point = func.split_part(Event.kind, ".", 1)
        query = query.where(or_(Event.kind.in_(wanted.kinds), before_point.in_(wanted.kinds)))
    if wanted.without:
        query = query.where(Event.id.not_in(wanted.without))
    return [event_view(row) for row in session.scalars(behind(query).limit(limit))]


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
