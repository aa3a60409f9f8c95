"""Queries about jobs."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from server.errors import not_found
from server.tables import Client, Job
from shared.messages import ClientOffer
from shared.views import ForkRow


def get_job(session: Session, job_id: UUID) -> Job:
    """The job. Raises ProblemError (404)."""
    job = session.get(Job, job_id)
    if job is None:
        raise not_found("job")
    return job


def newest_jobs(session: Session, before: UUID | None, limit: int) -> list[Job]:
    """Jobs, newest first, from the one after `before` on. Raises ProblemError (404)."""
    query = select(Job).order_by(Job.created_at.desc(), Job.id.desc()).limit(limit)
    if before is not None:
        last = get_job(session, before)
        query = query.where(tuple_(Job.created_at, Job.id) < (last.created_at, last.id))
    return list(session.scalars(query))


def forks_of(session: Session, job_id: UUID) -> tuple[ForkRow, ...]:
    """The jobs that were forked from this one, oldest first."""
    query = select(Job.id, Job.name, Job.forked_round).where(Job.forked_from == job_id)
    rows = session.execute(query.order_by(Job.created_at, Job.id))
    return tuple(ForkRow(id=id_, name=name, round=number) for id_, name, number in rows)


def offers_of(session: Session, clients: Sequence[str]) -> dict[str, ClientOffer | None]:
    """The registered ones among `clients`, with their offers if they made one.

    They stay as they are until the caller's transaction ends: put_offer waits, and then finds the
    job that froze them.
    """
    query = select(Client).where(Client.id.in_(clients)).order_by(Client.id)
    rows = session.scalars(query.with_for_update(read=True))
    return {row.id: ClientOffer.model_validate(row.offer) if row.offer else None for row in rows}
