"""Queries about jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from server.columns import among
from server.errors import not_found
from server.paging import Behind
from server.tables import Client, Event, Job, JobClient
from shared.messages import ClientOffer
from shared.states import JobState
from shared.views import ForkRow


def get_job(session: Session, job_id: UUID) -> Job:
    """The job. Raises ProblemError (404)."""
    job = session.get(Job, job_id)
    if job is None:
        raise not_found("job")
    return job


@dataclass(frozen=True, slots=True)
class Seen:
    """A job as one statement saw it, with its newest event's id and Postgres's clock."""

    job: Job
    last_event: int
    now: datetime


_NEWEST = select(func.max(Event.id)).where(Event.job_id == Job.id).scalar_subquery()
_SEEN = select(Job, _NEWEST, func.now()).where(Job.id == bindparam("job_id"))


def see_job(session: Session, job_id: UUID) -> Seen:
    """The job, and when it was. Raises ProblemError (404)."""
    row = session.execute(_SEEN, {"job_id": job_id}).one_or_none()
    if row is None:
        raise not_found("job")
    job, newest, now = row
    return Seen(job, newest or 0, now)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which jobs, in which order, from which on."""

    behind: Behind
    states: Sequence[JobState] = ()
    name: str | None = None  # a part of it, in small or capital letters
    client: str | None = None


def jobs(session: Session, wanted: Wanted, limit: int) -> list[Job]:
    """Jobs as wanted."""
    query = wanted.behind(select(Job)).limit(limit)
    if wanted.states:
        query = query.where(Job.state.in_(wanted.states))
    if wanted.name is not None:
        query = query.where(Job.name.icontains(wanted.name, autoescape=True))
    if wanted.client is not None:
        takes_part = JobClient.client_id == wanted.client
        query = query.where(Job.id.in_(select(JobClient.job_id).where(takes_part)))
    return list(session.scalars(query))


_FORKS = (
    select(Job.id, Job.name, Job.forked_round)
    .where(Job.forked_from == bindparam("job_id"))
    .order_by(Job.created_at, Job.id)
)


def forks_of(session: Session, job_id: UUID) -> tuple[ForkRow, ...]:
    """The jobs that were forked from this one, oldest first."""
    rows = session.execute(_FORKS, {"job_id": job_id})
    return tuple(ForkRow(id=id_, name=name, round=number) for id_, name, number in rows)


def offers_of(session: Session, clients: Sequence[str]) -> dict[str, ClientOffer | None]:
    """The registered ones among `clients`, with their offers if they made one.

    They stay as they are until the caller's transaction ends: put_offer waits, and then finds the
    job that froze them.
    """
    query = select(Client).where(among(Client.id, clients)).order_by(Client.id)
    rows = session.scalars(query.with_for_update(read=True))
    return {row.id: ClientOffer.model_validate(row.offer) if row.offer else None for row in rows}
