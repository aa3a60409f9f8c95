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
    UploadList,
    UploadView,
)
from shared.states import ASSIGNMENT_HELD
from shared.tensor_file import component_layout


def create(context: Context, principal: Principal, wish: UploadCreate) -> UploadList:
    """Announce uploads and reserve their space; the same ones again answer the same.

    Raises ProblemError (404, 409, 422, 507).
    """
    with context.sessions.begin() as session:
        job, assignment = held_locked(session, principal, wish.assignment_id, wish)
        _check(job, assignment, wish)
        rows = [_announced(session, wish, name) for name in wish.components]
        _reserve(session, context, rows)
        for row in rows:
            session.refresh(row)
    return UploadList(items=tuple(_finished(context, row) for row in rows))


def _check(job: Job, assignment: Assignment, wish: UploadCreate) -> None:
    spec = JobSpec.model_validate(job.spec)
    local = isinstance(spec.algorithm, LocalAlgorithm) and assignment.kind is AssignmentKind.TRAIN
    if local or assignment.kind not in {AssignmentKind.PLAN, AssignmentKind.TRAIN}:
        raise ProblemError(
            422, "nothing_to_upload", "This assignment uploads nothing: report its result only."
        )
    unknown = sorted(set(wish.components) - set(assignment.components))
    if unknown:
        detail = f"{unknown[0]!r} is no component of this assignment: upload only those."
        raise ProblemError(422, "unknown_component", detail)
    if job.catalogue is None:
        raise ProblemError(409, "no_catalogue", "PUT the catalogue before the first upload.")
    specs = Catalogue.model_validate(job.catalogue).components
    for name, given in wish.components.items():
        n_bytes = component_layout(specs[name]).n_bytes
        if given.n_bytes != n_bytes:
            detail = f"{name} has {n_bytes} bytes, not {given.n_bytes}: send exactly those."
            raise ProblemError(422, "wrong_length", detail)


def _announced(session: Session, wish: UploadCreate, name: str) -> Upload:
    """The upload of that component; complete at once if an earlier attempt has completed it."""
    values = {
        "id": uuid4(),
        "assignment_id": wish.assignment_id,
        "attempt": wish.attempt,
        "component": name,
        **wish.components[name].model_dump(),
    }
    row, fresh = repository.find_or_add(session, values)
    if fresh and repository.completed_before(session, row):
        row.completed_at = func.now()
        session.flush()
    return row


def _reserve(session: Session, context: Context, rows: list[Upload]) -> None:
    """Refuse what would not fit beside all other uploads under way. Raises ProblemError (507)."""
    new = {row.id for row in rows}
    missing = {
        row.id: row.n_bytes - part_size(context.store, row.id)
        for row in repository.unfinished(session)
    }
    wanted = sum(n for upload, n in missing.items() if upload in new)
    reserved = sum(n for upload, n in missing.items() if upload not in new)
    if wanted:
        check_space(context.store, wanted, reserved, context.settings.reserve_bytes)


def _finished(context: Context, row: Upload) -> UploadView:
    """The upload as it stands; where all bytes came before a crash, it is completed now."""
    view = upload_view(context.store, row)
    if view.complete or view.offset < view.n_bytes:
        return view
    with exclusive_part(part_path(context.store, row.id)):
        with context.sessions.begin() as session:
            spec = repository.spec_of(session, row)
        return complete(context, row, spec)


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


def writable(
    context: Context, principal: Principal, upload_id: UUID
) -> tuple[Upload, ComponentSpec]:
    """The caller's upload and what it must be, if bytes may still come.

    Raises ProblemError (404, 409).
    """
    with context.sessions.begin() as session:
        row = repository.own_upload(session, principal, upload_id)
        assignment = session.get_one(Assignment, row.assignment_id)
        if assignment.attempt != row.attempt or assignment.state not in ASSIGNMENT_HELD:
            raise stale_lease()
        return row, repository.spec_of(session, row)


def complete(context: Context, upload: Upload, spec: ComponentSpec) -> UploadView:
    """Check the bytes that are all here, keep them, then record them.

    Called by the one request that holds the part. Raises ProblemError (422): the bytes are
    dropped, and the upload starts from 0 again.
    """
    part = part_path(context.store, upload.id)
    try:
        validate(part, spec, upload.sha256)
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
