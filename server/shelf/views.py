"""What is shown of the shelf: that a model is there, how large it is, and whose."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.auth import Principal
from server.columns import Scope
from server.jobs.repository import get_job
from server.shelf import repository
from server.side_tables import ShelfModel
from server.specs import spec_of
from server.tables import Client, Job, JobClient
from shared.messages import ClientOffer
from shared.shelf import ShelfItem, ShelfRow, ShelfView
from shared.shelf_spec import ShelfForm, agreed


def shelf(session: Session, principal: Principal, job_id: UUID) -> ShelfView:
    """The job's shelf, of which a client sees its own. Raises ProblemError (404)."""
    job = get_job(session, job_id)
    client = principal.client if principal.scope is Scope.CLIENT else None
    if client is not None:
        repository.member(session, principal, job_id)
    asked = spec_of(job).shelf
    return ShelfView(job_id=job.id, asked=asked, items=rows(session, job, client))


def rows(session: Session, job: Job, client: str | None = None) -> tuple[ShelfRow, ...]:
    """What is there of each client, or of one; nothing where the job asks for none."""
    asked = spec_of(job).shelf
    if asked is ShelfForm.NONE:
        return ()
    query = (
        select(JobClient, Client.offer)
        .join(Client, Client.id == JobClient.client_id)
        .where(JobClient.job_id == job.id)
        .order_by(JobClient.client_id)
    )
    if client is not None:
        query = query.where(JobClient.client_id == client)
    found = {row.client_id: row for row in repository.there(session, job.id, client)}
    return tuple(
        ShelfRow(
            client=member.client_id,
            agreed=agreed(asked, _allowed(offer)),
            item=_item(found[member.client_id], member) if member.client_id in found else None,
        )
        for member, offer in session.execute(query)
    )


def _allowed(offer: object) -> ShelfForm:
    return ClientOffer.model_validate(offer).shelf if offer else ShelfForm.NONE


def _item(row: ShelfModel, member: JobClient) -> ShelfItem:
    assert row.completed_at is not None  # noqa: S101 - for mypy: the query asked for it
    return ShelfItem(
        id=row.id,
        form=row.form,
        n_bytes=row.n_bytes,
        sha256=row.sha256,
        state_digest=row.state_digest,
        current=row.state_digest == member.state_digest,
        put_at=row.completed_at,
    )
