"""Queries about personal models on the shelf."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from server.auth import Principal
from server.errors import not_found
from server.side_tables import ShelfModel
from server.tables import Artifact, JobClient


def member(session: Session, principal: Principal, job_id: UUID) -> JobClient:
    """The calling client's part in the job. Raises ProblemError (404)."""
    row = session.get(JobClient, (job_id, principal.client or ""))
    if row is None:
        raise not_found("job")
    return row


def own(
    session: Session, principal: Principal, job_id: UUID, model_id: UUID, *, lock: bool = False
) -> ShelfModel:
    """The calling client's model, there or on its way. Raises ProblemError (404)."""
    row = session.get(ShelfModel, model_id, with_for_update=lock or None, populate_existing=True)
    wanted = (job_id, principal.client, None)
    if row is None or (row.job_id, row.client_id, row.deleted_at) != wanted:
        raise not_found("personal model")
    return row


def there(session: Session, job_id: UUID, client: str | None = None) -> list[ShelfModel]:
    """The models on the job's shelf, or the client's alone."""
    return list(session.scalars(_live(job_id, client).where(ShelfModel.completed_at.is_not(None))))


def coming(session: Session, job_id: UUID, client: str | None = None) -> list[ShelfModel]:
    """Those that are announced and not there whole."""
    return list(session.scalars(_live(job_id, client).where(ShelfModel.completed_at.is_(None))))


def _live(job_id: UUID, client: str | None) -> Select[ShelfModel]:
    query = select(ShelfModel).where(ShelfModel.job_id == job_id, ShelfModel.deleted_at.is_(None))
    return query if client is None else query.where(ShelfModel.client_id == client)


def end(session: Session, rows: Sequence[ShelfModel]) -> None:
    """Note that models are deleted, replaced or given up; their bytes go after the commit."""
    for row in rows:
        row.deleted_at = func.now()
    session.flush()


def hold(session: Session, row: ShelfModel) -> None:
    """Have the artifact of a model known, and nobody collect it before the commit."""
    values = {"sha256": row.sha256, "n_bytes": row.n_bytes}
    session.execute(insert(Artifact).values(values).on_conflict_do_nothing())
    query = select(Artifact.sha256).where(Artifact.sha256 == row.sha256)
    session.execute(query.with_for_update(read=True, key_share=True)).one()


def abandoned(session: Session, age: timedelta, limit: int) -> list[ShelfModel]:
    """Models on their way of which nobody has spoken for so long, locked."""
    query = (
        select(ShelfModel)
        .where(
            ShelfModel.completed_at.is_(None),
            ShelfModel.deleted_at.is_(None),
            ShelfModel.announced_at < func.now() - age,
        )
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list(session.scalars(query))
