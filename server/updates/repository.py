"""Queries about uploads and artifacts."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import and_, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from server.auth import Principal
from server.errors import not_found
from server.side_tables import ShelfModel
from server.tables import Artifact, Assignment, Job, Upload, UploadedComponent, VersionComponent
from shared.messages import ComponentSpec
from shared.states import ASSIGNMENT_ACTIVE

_RESERVING = 0x7461_7065  # the number of an advisory lock

Norms = Mapping[str, float | None]  # component -> how far it has moved, if that is known


def own_upload(session: Session, principal: Principal, upload_id: UUID) -> Upload:
    """The caller's upload. Raises ProblemError (404)."""
    row = session.get(Upload, upload_id)
    if row is None or session.get_one(Assignment, row.assignment_id).client_id != principal.client:
        raise not_found("upload")
    return row


def specs_of(session: Session, row: Upload) -> dict[str, ComponentSpec]:
    """What the catalogue says about the upload's components, in the stream's order."""
    query = (
        select(Job.catalogue["components"])
        .join(Assignment, Assignment.job_id == Job.id)
        .where(Assignment.id == row.assignment_id)
    )
    known = session.scalars(query).one()
    return {name: ComponentSpec.model_validate(known[name]) for name in row.components}


def started_from(session: Session, row: Upload) -> dict[str, str]:
    """The artifacts of the version that the upload's assignment started from; none for a plan."""
    query = (
        select(VersionComponent.component, VersionComponent.sha256)
        .join(
            Assignment,
            and_(
                Assignment.job_id == VersionComponent.job_id,
                Assignment.version == VersionComponent.version,
            ),
        )
        .where(Assignment.id == row.assignment_id)
    )
    return {row.component: row.sha256 for row in session.execute(query)}


def begun(session: Session, assignment_id: UUID, digest: str, attempt: int) -> Upload | None:
    """The upload of these bytes in that attempt, or else one that an earlier left unfinished."""
    query = (
        select(Upload)
        .where(Upload.assignment_id == assignment_id, Upload.digest == digest)
        .where((Upload.attempt == attempt) | Upload.completed_at.is_(None))
        .order_by(Upload.attempt.desc())
        .limit(1)
    )
    return session.scalars(query).one_or_none()


def reserve_alone(session: Session) -> None:
    """Wait until no other transaction reserves: what it announces must be counted."""
    session.execute(select(func.pg_advisory_xact_lock(_RESERVING)))


def unfinished(session: Session) -> list[Upload]:
    """Uploads under way: their bytes that are not here yet are reserved.

    For an attempt that is over nothing more comes, until another takes its upload up.
    """
    query = (
        select(Upload)
        .join(Assignment, Assignment.id == Upload.assignment_id)
        .where(
            Upload.completed_at.is_(None),
            Upload.attempt == Assignment.attempt,
            Assignment.state.in_(ASSIGNMENT_ACTIVE),
        )
    )
    return list(session.scalars(query))


def abandoned(session: Session, limit: int) -> list[Upload]:
    """Unfinished uploads whose assignment has ended, locked."""
    query = (
        select(Upload)
        .join(Assignment, Assignment.id == Upload.assignment_id)
        .where(Upload.completed_at.is_(None), Assignment.state.not_in(ASSIGNMENT_ACTIVE))
        .limit(limit)
        .with_for_update(skip_locked=True, of=Upload)
    )
    return list(session.scalars(query))


def add_components(session: Session, row: Upload, norms: Norms) -> None:
    """Record that the store has the upload's components, for its assignment."""
    files = [{"component": name, **wish} for name, wish in row.components.items()]
    if files:
        artifacts = [{k: file[k] for k in ("sha256", "n_bytes")} for file in files]
        session.execute(insert(Artifact).values(artifacts).on_conflict_do_nothing())
        arrived = [
            {"assignment_id": row.assignment_id, "norm": norms[file["component"]], **file}
            for file in files
        ]
        session.execute(insert(UploadedComponent).values(arrived).on_conflict_do_nothing())


def refusals(session: Session, assignment_id: UUID) -> int:
    """How often bytes of the assignment were refused, in all its uploads."""
    query = select(func.sum(Upload.refusals)).where(Upload.assignment_id == assignment_id)
    return int(session.scalar(query) or 0)


def readable(session: Session, client: str, wanted: Sequence[str]) -> set[str]:
    """Those of the artifacts that are in the manifest of one of the client's assignments."""
    query = (
        select(VersionComponent.sha256)
        .join(
            Assignment,
            and_(
                VersionComponent.job_id == Assignment.job_id,
                VersionComponent.version == Assignment.version,
                VersionComponent.component == func.any(Assignment.components),
            ),
        )
        .where(Assignment.client_id == client, VersionComponent.sha256.in_(wanted))
        .distinct()
    )
    return set(session.scalars(query))


def shelved(session: Session, wanted: Sequence[str]) -> set[str]:
    """Those of the artifacts that are, or were, personal models: no business of operators.

    One that is a component, too, is no secret.
    """
    query = select(ShelfModel.sha256).where(ShelfModel.sha256.in_(wanted))
    components = (
        select(table.sha256).where(table.sha256.in_(wanted))
        for table in (VersionComponent, UploadedComponent)
    )
    return set(session.scalars(query.except_(*components)))
