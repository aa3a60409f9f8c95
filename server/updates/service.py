"""Announcing, receiving and completing uploads."""

from pathlib import Path
from uuid import UUID, uuid4

from sqlalchemy import func
from sqlalchemy.orm import Session

from server.assignments.service import held_locked
from server.auth import Principal
from server.context import Context
from server.errors import ProblemError, not_found, stale_lease
from server.storage import check_space, disk_trouble, exclusive_part, part_path, part_size
from server.tables import Assignment, Job, Upload
from server.updates import repository
from server.updates.validation import RefusedError, validate
from shared.artifacts import ArtifactStore
from shared.job_spec import JobSpec, LocalAlgorithm
from shared.messages import (
    AssignmentKind,
    Catalogue,
    ComponentSpec,
    UploadCreate,
    UploadView,
)
from shared.states import ASSIGNMENT_HELD
from shared.tensor_file import component_layout


def create(context: Context, principal: Principal, wish: UploadCreate) -> UploadView:
    """Announce an upload and reserve its space; the same one again answers the same.

    Raises ProblemError (404, 409, 422, 507).
    """
    with context.sessions.begin() as session:
        job, assignment = held_locked(session, principal, wish.assignment_id, wish)
        _check(job, assignment, wish)
        values = {"id": uuid4(), **wish.model_dump(exclude={"lease_id"})}
        row, fresh = repository.find_or_add(session, values)
        if fresh and repository.completed_before(session, row):
            row.completed_at = func.now()
        elif fresh:
            _reserve(session, context, row)
        session.flush()
        session.refresh(row)
    view = upload_view(context.store, row)
    if view.complete or view.offset < view.n_bytes:
        return view
    with exclusive_part(part_path(context.store, row.id)):  # all bytes came, then a crash
        return complete(context, row)


def _check(job: Job, assignment: Assignment, wish: UploadCreate) -> None:
    spec = JobSpec.model_validate(job.spec)
    local = isinstance(spec.algorithm, LocalAlgorithm) and assignment.kind is AssignmentKind.TRAIN
    if local or assignment.kind not in {AssignmentKind.PLAN, AssignmentKind.TRAIN}:
        raise ProblemError(
            422, "nothing_to_upload", "This assignment uploads nothing: report its result only."
        )
    if wish.component not in assignment.components:
        detail = f"{wish.component!r} is no component of this assignment: upload only those."
        raise ProblemError(422, "unknown_component", detail)
    n_bytes = component_layout(_component(job, wish.component)).n_bytes
    if wish.n_bytes != n_bytes:
        detail = f"{wish.component} has {n_bytes} bytes, not {wish.n_bytes}: send exactly those."
        raise ProblemError(422, "wrong_length", detail)


def _component(job: Job, name: str) -> ComponentSpec:
    if job.catalogue is None:
        raise ProblemError(409, "no_catalogue", "PUT the catalogue before the first upload.")
    return Catalogue.model_validate(job.catalogue).components[name]


def _reserve(session: Session, context: Context, row: Upload) -> None:
    reserved = sum(
        other.n_bytes - part_size(context.store, other.id)
        for other in repository.unfinished(session)
        if other.id != row.id
    )
    check_space(context.store, row.n_bytes, reserved, context.settings.reserve_bytes)


def upload_view(store: ArtifactStore, row: Upload) -> UploadView:
    """The upload as its worker reads it."""
    complete = row.completed_at is not None
    offset = row.n_bytes if complete else part_size(store, row.id)
    return UploadView(
        id=row.id,
        component=row.component,
        offset=offset,
        n_bytes=row.n_bytes,
        complete=complete,
    )


def show(context: Context, principal: Principal, upload_id: UUID) -> UploadView:
    """The caller's upload. Raises ProblemError (404)."""
    with context.sessions.begin() as session:
        return upload_view(context.store, repository.own_upload(session, principal, upload_id))


def writable(context: Context, principal: Principal, upload_id: UUID) -> Upload:
    """The caller's upload, if bytes may still come. Raises ProblemError (404, 409)."""
    with context.sessions.begin() as session:
        row = repository.own_upload(session, principal, upload_id)
        assignment = session.get_one(Assignment, row.assignment_id)
        if assignment.attempt != row.attempt or assignment.state not in ASSIGNMENT_HELD:
            raise stale_lease()
        return row


def complete(context: Context, upload: Upload) -> UploadView:
    """Check the bytes that are all here, keep them, then record them.

    Called by the one request that holds the part. Raises ProblemError (422): the bytes are
    dropped, and the upload starts from 0 again.
    """
    part = part_path(context.store, upload.id)
    try:
        validate(part, _spec_of(context, upload), upload.sha256)
    except RefusedError as error:
        part.unlink(missing_ok=True)
        _count_refusal(context, upload)
        raise ProblemError(422, error.code, str(error)) from error
    _keep(context.store, part, upload.sha256)
    with context.sessions.begin() as session:
        row = session.get(Upload, upload.id, with_for_update=True)
        if row is None:
            raise not_found("upload")
        repository.add_artifact(session, row.sha256, row.n_bytes)
        row.completed_at = row.completed_at or func.now()
        session.flush()
        session.refresh(row)
        return upload_view(context.store, row)


def _keep(store: ArtifactStore, part: Path, sha256: str) -> None:
    try:
        store.keep(part, sha256)
    except OSError as error:
        raise disk_trouble(error) from error


def _spec_of(context: Context, upload: Upload) -> ComponentSpec:
    with context.sessions.begin() as session:
        assignment = session.get_one(Assignment, upload.assignment_id)
        return _component(session.get_one(Job, assignment.job_id), upload.component)


def _count_refusal(context: Context, upload: Upload) -> None:
    with context.sessions.begin() as session:
        row = session.get(Upload, upload.id, with_for_update=True)
        if row is not None:
            row.refusals += 1


def drop_abandoned(context: Context) -> None:
    """Delete the parts and rows of uploads that nobody will finish."""
    with context.sessions.begin() as session:
        for row in repository.abandoned(session, limit=100):
            part_path(context.store, row.id).unlink(missing_ok=True)
            session.delete(row)
