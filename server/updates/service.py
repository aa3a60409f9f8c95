"""Announcing, receiving and completing uploads."""

import json
import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID, uuid4

from sqlalchemy import func
from sqlalchemy.orm import Session

from server.aggregation.files import open_component
from server.aggregation.norms import Change
from server.assignments.decide import may_write
from server.assignments.repository import uploaded
from server.assignments.results import refuse
from server.assignments.service import held_locked
from server.auth import Principal
from server.context import Context
from server.database import killable, lock_job
from server.errors import ProblemError, not_found, stale_lease, unavailable
from server.idempotency import once
from server.specs import spec_of
from server.storage import (
    check_writable,
    disk_trouble,
    exclusive_part,
    part_path,
    part_size,
)
from server.tables import Assignment, Job, Upload
from server.updates import repository
from server.updates.repository import Norms
from server.updates.space import reserve
from server.updates.validation import OTHER_VERSION, RefusedError, pieces, validate
from server.upkeep.collect import require_kept
from shared import logs
from shared.artifacts import FULL, ArtifactError, ArtifactStore, CollectedError, digest
from shared.crash_points import crash_point
from shared.messages import AssignmentKind, Catalogue, ComponentSpec, UploadCreate, UploadView
from shared.problem_codes import Code
from shared.tensor_file import component_layout

MOST_REFUSALS = 2

_TRIES = 3
_log = logging.getLogger(__name__)


def create(
    context: Context, principal: Principal, wish: UploadCreate, key: str | None = None
) -> UploadView:
    """Announce an upload and reserve its space; the same one again answers the same.

    It is named by what it announces: a key does no more than refuse another body beside it.

    Raises ProblemError (404, 409, 422, 507).
    """
    check_writable(context.store)
    logs.note(assignment=wish.assignment_id, attempt=wish.attempt)
    with killable(context.sessions, "api.announce") as session:
        job, assignment = held_locked(session, principal, wish.assignment_id, wish)
        logs.note(job=job.id)
        _check(job, assignment, wish)
        row = _announced(session, wish)
        once(session, principal, "POST /v1/uploads", key, wish, lambda: str(row.id))
        reserve(session, context, row.id)
        session.refresh(row)
        specs = repository.specs_of(session, row)
    view = upload_view(context.store, row)
    if view.complete or view.offset < view.n_bytes:
        return view
    with exclusive_part(part_path(context.store, row.id)):  # all bytes came before a crash
        return complete(context, row, specs)


def _check(job: Job, assignment: Assignment, wish: UploadCreate) -> None:
    spec = spec_of(job)
    wanted = set(assignment.components)
    if assignment.kind is AssignmentKind.TRAIN:
        wanted = set(filter(spec.algorithm.shares, wanted))
    if not wanted or assignment.kind not in {AssignmentKind.PLAN, AssignmentKind.TRAIN}:
        raise ProblemError(
            422, Code.NOTHING_TO_UPLOAD, "This assignment uploads nothing: report its result only."
        )
    unknown = sorted(set(wish.components) - wanted)
    if unknown:
        detail = f"{unknown[0]!r} is not to be uploaded for this assignment: leave it out."
        raise ProblemError(422, Code.UNKNOWN_COMPONENT, detail)
    if job.catalogue is None:
        raise ProblemError(409, Code.NO_CATALOGUE, "PUT the catalogue before the first upload.")
    specs = Catalogue.model_validate(job.catalogue).components
    for name, given in wish.components.items():
        n_bytes = component_layout(specs[name]).n_bytes
        if given.n_bytes != n_bytes:
            detail = f"{name} has {n_bytes} bytes in the catalogue, not {given.n_bytes}: send "
            raise ProblemError(422, Code.WRONG_LENGTH, f"{detail}exactly those, {OTHER_VERSION}.")


def _announced(session: Session, wish: UploadCreate) -> Upload:
    """The upload of what is announced, less what has arrived already in an earlier attempt.

    One that an earlier attempt began, of the same bytes, goes on where it stands.
    """
    arrived = uploaded(session, wish.assignment_id)
    missing = {n: w for n, w in wish.components.items() if (n, w.sha256) not in arrived}
    values: dict[str, Any] = {
        "id": uuid4(),
        "assignment_id": wish.assignment_id,
        "digest": _digest(wish),
        "components": {name: each.model_dump() for name, each in missing.items()},
        "n_bytes": sum(each.n_bytes for each in missing.values()),
    }
    row = repository.begun(session, wish.assignment_id, values["digest"], wish.attempt)
    if row is None:
        row = Upload(**values)
        session.add(row)
    row.attempt = wish.attempt
    session.flush()
    return row


def _digest(wish: UploadCreate) -> str:
    files = wish.model_dump(mode="json")["components"]
    return digest([json.dumps(files, sort_keys=True).encode()])


def upload_view(store: ArtifactStore, row: Upload) -> UploadView:
    """The upload as its worker reads it."""
    complete = row.completed_at is not None
    offset = row.n_bytes if complete else part_size(store, row.id)
    return UploadView(
        id=row.id,
        components=tuple(row.components),
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
) -> tuple[Upload, Mapping[str, ComponentSpec]]:
    """The caller's upload and what its components must be, if bytes may still come.

    Raises ProblemError (404, 409).
    """
    with context.sessions.begin() as session:
        row = repository.own_upload(session, principal, upload_id)
        assignment = session.get_one(Assignment, row.assignment_id)
        check_writable(context.store)
        logs.note(job=assignment.job_id, assignment=assignment.id, attempt=row.attempt)
        if not may_write(assignment, row.attempt):
            raise stale_lease()
        return row, repository.specs_of(session, row)


def complete(context: Context, upload: Upload, specs: Mapping[str, ComponentSpec]) -> UploadView:
    """Check the bytes that are all here, keep each component, then record them.

    Called by the one request that holds the part. Raises ProblemError (422): the bytes are
    dropped, and the upload starts from 0 again.
    """
    part = part_path(context.store, upload.id)
    crash_point("api.whole")
    try:
        norms = _check_bytes(context, part, upload, specs)
    except RefusedError as error:
        part.unlink(missing_ok=True)
        context.meters.uploads_refused.labels(error.code).inc()
        _log.info("the upload is refused: %s", error)
        _count_refusal(context, upload, error)
        raise ProblemError(422, error.code, str(error)) from error
    except OSError as error:
        raise disk_trouble(error) from error
    crash_point("api.checked")
    view = _keep_and_record(context, part, upload, norms)
    part.unlink(missing_ok=True)
    return view


def _check_bytes(
    context: Context, part: Path, upload: Upload, specs: Mapping[str, ComponentSpec]
) -> Norms:
    """Check each component of the stream, and measure how far it has moved. Raises RefusedError."""
    with context.sessions.begin() as session:
        started = repository.started_from(session, upload)
    norms: dict[str, float | None] = {}
    with part.open("rb") as file:
        for name, wish in upload.components.items():
            with _start(context.store, started.get(name), specs[name]) as start:
                change = Change(start) if start else None
                validate(file, name, specs[name], wish["sha256"], change)
                norms[name] = change.norm if change else None
    return norms


def _start(
    store: ArtifactStore, sha256: str | None, spec: ComponentSpec
) -> AbstractContextManager[BinaryIO | None]:
    """The file that a change is measured against; None where there is no sound one."""
    if sha256 is None:
        return nullcontext()
    try:
        return open_component(store, sha256, component_layout(spec))
    except ArtifactError as error:
        _log.error("the change of a component is not measured: %s", error)
        return nullcontext()


def _keep_and_record(context: Context, part: Path, upload: Upload, norms: Norms) -> UploadView:
    """Again where a file was collected before it was recorded. Raises ProblemError (503, 507)."""
    for _ in range(_TRIES):
        _keep(context.store, part, upload)
        try:
            return _record(context, upload, norms)
        except CollectedError:
            _log.warning("the upload is kept again: a file of it was collected")
    raise unavailable("The upload could not be kept: announce it again.")


def _keep(store: ArtifactStore, part: Path, upload: Upload) -> None:
    """Keep each component of the stream under its hash. Raises ProblemError (503, 507).

    A full disk leaves the stream, to be kept later; any other trouble of the disk drops it.
    """
    try:
        with part.open("rb") as file:
            for wish in upload.components.values():
                store.write(pieces(file, wish["n_bytes"]))
    except OSError as error:
        if error.errno not in FULL:
            part.unlink(missing_ok=True)
        raise disk_trouble(error) from error


def _record(context: Context, upload: Upload, norms: Norms) -> UploadView:
    with killable(context.sessions, "api.record") as session:
        row = session.get(Upload, upload.id, with_for_update=True)
        if row is None:
            raise not_found("upload")
        repository.add_components(session, row, norms)
        row.completed_at = row.completed_at or func.now()
        session.flush()
        require_kept(context.store, [wish["sha256"] for wish in row.components.values()])
        session.refresh(row)
        return upload_view(context.store, row)


def _count_refusal(context: Context, upload: Upload, error: RefusedError) -> None:
    """Count it; bytes that were refused twice will not be better the third time."""
    with killable(context.sessions, "api.refusal") as session:
        assignment = session.get_one(Assignment, upload.assignment_id)
        lock_job(session, assignment.job_id)
        row = session.get(Upload, upload.id, with_for_update=True)
        if row is None or row.completed_at is not None:  # better bytes have come meanwhile
            return
        row.refusals += 1
        session.flush()
        if repository.refusals(session, row.assignment_id) >= MOST_REFUSALS:
            refuse(session, assignment, str(error))


def drop_abandoned(context: Context) -> None:
    """Delete the parts and rows of uploads that nobody will finish."""
    with context.sessions.begin() as session:
        for row in repository.abandoned(session, limit=100):
            part_path(context.store, row.id).unlink(missing_ok=True)
            session.delete(row)
