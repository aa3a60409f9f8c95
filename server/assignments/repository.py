"""Queries about assignments as their workers see them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Uuid, and_, bindparam, func, or_, select
from sqlalchemy.orm import Session

from server.assignments.decide import WORKING
from server.auth import Principal
from server.database import lock_job
from server.errors import not_found
from server.tables import (
    Artifact,
    Assignment,
    Attempt,
    Client,
    Job,
    UploadedComponent,
    VersionComponent,
)
from shared.states import ASSIGNMENT_CLAIMABLE, AssignmentState

# Made once: making it costs more than answering it, and idle clients ask all the time.
_CLAIMABLE = (
    select(Assignment.job_id, Assignment.id)
    .join(Job, Job.id == Assignment.job_id)
    .where(
        Assignment.client_id.is_not_distinct_from(bindparam("client")),
        or_(
            and_(
                Assignment.state.in_(ASSIGNMENT_CLAIMABLE),
                Assignment.not_before <= func.now(),
                Job.state.in_(WORKING),
            ),
            and_(
                Assignment.state == AssignmentState.LEASED,
                Assignment.lease_id == bindparam("lease_id", type_=Uuid()),
            ),
        ),
    )
    .order_by(
        Assignment.state != AssignmentState.LEASED,
        Job.priority.desc(),
        Assignment.state != AssignmentState.SUSPECT,
        Assignment.created_at,
    )
    .limit(10)
)


def claimable(
    session: Session, principal: Principal, lease_id: UUID | None
) -> list[tuple[UUID, UUID]]:
    """(job, assignment) ids that the caller may claim now, the most urgent first.

    What that lease was given already, then by the jobs' priority, then suspect ones, then the
    oldest: a job has one at a time for a client, so that jobs of the same priority take turns.
    Not locked: the caller locks the job, then the client, then looks again.
    """
    wanted = {"client": principal.client, "lease_id": lease_id}
    found = session.execute(_CLAIMABLE, wanted)
    return [(job_id, assignment_id) for job_id, assignment_id in found]


def lock_free(session: Session, assignment_id: UUID) -> tuple[Assignment, datetime] | None:
    """The assignment, locked, unless somebody is changing it; and Postgres's time."""
    query = (
        select(Assignment, func.now())
        .where(Assignment.id == assignment_id)
        .with_for_update(skip_locked=True, of=Assignment)
    )
    found = session.execute(query, execution_options={"populate_existing": True}).one_or_none()
    return None if found is None else (found[0], found[1])


def lock_client(session: Session, principal: Principal) -> None:
    """Lock the calling client, and note that it lives; nothing for the planner."""
    if principal.client is None:
        return
    query = select(Client).where(Client.id == principal.client).with_for_update(key_share=True)
    client = session.scalars(query).one()
    client.seen_at = func.now()


def holds_lease(session: Session, client: str | None) -> bool:
    """Whether the client holds a live lease; the planner may hold many."""
    if client is None:
        return False
    query = select(Assignment.id).where(
        Assignment.client_id == client, Assignment.state == AssignmentState.LEASED
    )
    return session.scalars(query).first() is not None


def unused(session: Session, lease_id: UUID | None) -> UUID | None:
    """The lease's wished name, unless an attempt has had it."""
    query = select(Attempt.attempt).where(Attempt.lease_id == lease_id)
    return None if session.scalars(query).first() else lease_id


def own(session: Session, principal: Principal, assignment_id: UUID) -> Assignment:
    """The caller's assignment, not locked. Raises ProblemError (404)."""
    row = session.get(Assignment, assignment_id)
    if row is None or row.client_id != principal.client:
        raise not_found("assignment")
    return row


def own_locked(
    session: Session, principal: Principal, assignment_id: UUID
) -> tuple[Job, Assignment]:
    """The caller's assignment with its job; job, client and assignment locked, in that order.

    Raises ProblemError (404).
    """
    row = own(session, principal, assignment_id)
    job = lock_job(session, row.job_id)
    if job is None:
        raise not_found("assignment")
    lock_client(session, principal)
    session.refresh(row, with_for_update={"key_share": True})
    return job, row


def manifest(session: Session, row: Assignment) -> dict[str, tuple[str, int]]:
    """The assignment's components in the version that it starts from: sha256 and bytes of each."""
    if row.version is None:
        return {}
    query = (
        select(VersionComponent.component, VersionComponent.sha256, Artifact.n_bytes)
        .join(Artifact, Artifact.sha256 == VersionComponent.sha256)
        .where(
            VersionComponent.job_id == row.job_id,
            VersionComponent.version == row.version,
            VersionComponent.component.in_(row.components),
        )
    )
    return {component: (sha256, n_bytes) for component, sha256, n_bytes in session.execute(query)}


def norms(session: Session, assignment_id: UUID) -> dict[tuple[str, str], float | None]:
    """(component, sha256) -> how far it has moved, of what has arrived for the assignment."""
    query = select(
        UploadedComponent.component, UploadedComponent.sha256, UploadedComponent.norm
    ).where(UploadedComponent.assignment_id == assignment_id)
    return {(component, sha256): norm for component, sha256, norm in session.execute(query)}


def uploaded(session: Session, assignment_id: UUID) -> set[tuple[str, str]]:
    """(component, sha256) of what has arrived for the assignment, in any attempt."""
    query = select(UploadedComponent.component, UploadedComponent.sha256).where(
        UploadedComponent.assignment_id == assignment_id
    )
    return {(component, sha256) for component, sha256 in session.execute(query)}
