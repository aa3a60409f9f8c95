"""Putting a personal model on the shelf, and deleting it. The bytes are opaque here."""

import logging
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID, uuid4

from sqlalchemy import func
from sqlalchemy.orm import Session

from server.auth import Principal
from server.columns import Scope
from server.context import Context
from server.database import lock_job
from server.errors import ProblemError, not_found, unavailable
from server.idempotency import once
from server.lifecycle import Scalar, record
from server.shelf import repository
from server.side_tables import ShelfModel
from server.specs import spec_of
from server.storage import check_writable, disk_trouble, exclusive_part, part_path, part_size
from server.tables import Job
from server.updates.space import reserve
from server.upkeep.collect import collect, require_kept
from shared.artifacts import ArtifactError, CollectedError, StoreAwayError, file_digest
from shared.problem_codes import Code
from shared.shelf import ShelfDeleted, ShelfPut, ShelfUpload

_log = logging.getLogger(__name__)


def announce(
    context: Context, principal: Principal, job_id: UUID, wish: ShelfPut, key: str | None
) -> ShelfUpload:
    """Announce a model and reserve its space; the same one again answers the same.

    It is named by what it announces: a key does no more than refuse another body beside it.
    Raises ProblemError (404, 409, 413, 507).
    """
    check_writable(context.store)
    with context.sessions.begin() as session:
        job = _locked(session, job_id)
        repository.member(session, principal, job_id)
        _check(context, job, wish)
        row, given_up = _announced(session, principal, job_id, wish)
        route = f"POST /v1/jobs/{job_id}/shelf"
        once(session, principal, route, key, wish, lambda: str(row.id))
        reserve(session, context, row.id)
        session.refresh(row)
    _forget(context, given_up)
    view = upload_view(context, row)
    if view.complete or view.offset < view.n_bytes:
        return view
    with exclusive_part(part_path(context.store, row.id)):  # all bytes came before a crash
        return complete(context, principal, row)


def _locked(session: Session, job_id: UUID) -> Job:
    job = lock_job(session, job_id)
    if job is None:
        raise not_found("job")
    return job


def _check(context: Context, job: Job, wish: ShelfPut) -> None:
    asked, most = spec_of(job).shelf, context.settings.shelf_model_bytes
    if not asked.allows(wish.form):
        detail = f"The job's spec says shelf: {asked}, so no {wish.form} model is kept: fork the "
        raise ProblemError(409, Code.NOT_ASKED, f"{detail}job with another, or keep it yourself.")
    if wish.n_bytes > most:
        detail = f"A personal model on the shelf has at most {most} bytes here: keep it yourself, "
        raise ProblemError(413, Code.TOO_LARGE, f"{detail}or ask the operator for more.")


def _announced(
    session: Session, principal: Principal, job_id: UUID, wish: ShelfPut
) -> tuple[ShelfModel, list[ShelfModel]]:
    """The row of what is announced, and those of what was on its way and is not any more."""
    under_way = repository.coming(session, job_id, principal.client)
    known = [*repository.there(session, job_id, principal.client), *under_way]
    row = next((each for each in known if _is(each, wish)), None)
    given_up = [each for each in under_way if each is not row]
    repository.end(session, given_up)
    if row is None:
        row = ShelfModel(id=uuid4(), job_id=job_id, client_id=principal.client, **dict(wish))
        session.add(row)
    row.announced_at = func.now()
    session.flush()
    return row, given_up


def _is(row: ShelfModel, wish: ShelfPut) -> bool:
    given = (wish.form, wish.sha256, wish.n_bytes, wish.state_digest)
    return (row.form, row.sha256, row.n_bytes, row.state_digest) == given


def upload_view(context: Context, row: ShelfModel) -> ShelfUpload:
    """The stream as its client reads it."""
    complete = row.completed_at is not None
    offset = row.n_bytes if complete else part_size(context.store, row.id)
    return ShelfUpload(id=row.id, offset=offset, n_bytes=row.n_bytes, complete=complete)


def writable(context: Context, principal: Principal, job_id: UUID, model_id: UUID) -> ShelfModel:
    """The calling client's model, if bytes may still come. Raises ProblemError (404, 507)."""
    check_writable(context.store)
    with context.sessions.begin() as session:
        return repository.own(session, principal, job_id, model_id)


def complete(context: Context, principal: Principal, model: ShelfModel) -> ShelfUpload:
    """Compare the hash of the bytes, which are all here, and keep them in place of those before.

    Called by the one request that holds the part. Raises ProblemError (404, 422, 503, 507).
    """
    part = part_path(context.store, model.id)
    try:
        found = file_digest(part)
        if found != model.sha256:
            part.unlink()
            detail = f"The bytes have sha256 {found} and not the one announced: send them again."
            raise ProblemError(422, Code.WRONG_HASH, detail)
        context.store.keep(part, found)
    except OSError as error:
        raise disk_trouble(error) from error
    try:
        row, replaced = _record(context, principal, model)
    except CollectedError as error:
        raise unavailable("The model could not be kept: announce it again.") from error
    _forget(context, replaced)
    return upload_view(context, row)


def _record(
    context: Context, principal: Principal, model: ShelfModel
) -> tuple[ShelfModel, list[ShelfModel]]:
    with context.sessions.begin() as session:
        _locked(session, model.job_id)
        row = repository.own(session, principal, model.job_id, model.id, lock=True)
        if row.completed_at is not None:  # by another replica, which had all bytes as well
            return row, []
        replaced = repository.there(session, row.job_id, row.client_id)
        repository.end(session, replaced)
        repository.hold(session, row)
        row.completed_at = func.now()
        _note(session, "shelf.put", row, form=row.form, n_bytes=row.n_bytes)
        session.flush()
        require_kept(context.store, [row.sha256])
        session.refresh(row)
        return row, replaced


def _note(session: Session, kind: str, row: ShelfModel, **data: Scalar) -> None:
    record(session, kind, row.job_id, {"client": row.client_id, **data})


def readable(context: Context, principal: Principal, job_id: UUID, model_id: UUID) -> Path:
    """Where the calling client's model lies. Raises ProblemError (404, 503, 507)."""
    with context.sessions.begin() as session:
        row = repository.own(session, principal, job_id, model_id)
    if row.completed_at is None:
        raise not_found("personal model")
    try:
        context.store.bring([row.sha256])
    except ArtifactError as error:
        raise not_found("personal model") from error
    except OSError as error:
        raise disk_trouble(error) from error
    return context.store.path(row.sha256)


def clear(context: Context, principal: Principal, job_id: UUID) -> ShelfDeleted:
    """Delete the calling client's model, or for an operator all; again is no error.

    Raises ProblemError (404).
    """
    with context.sessions.begin() as session:
        _locked(session, job_id)
        if principal.scope is Scope.CLIENT:
            repository.member(session, principal, job_id)
        there = repository.there(session, job_id, principal.client)
        under_way = repository.coming(session, job_id, principal.client)
        repository.end(session, [*there, *under_way])
        for row in there:
            _note(session, "shelf.deleted", row, by=principal.scope)
    _forget(context, [*there, *under_way])
    return ShelfDeleted(
        clients=tuple(sorted(row.client_id for row in there)),
        n_bytes=sum(row.n_bytes for row in there),
    )


def _forget(context: Context, ended: Sequence[ShelfModel]) -> None:
    """Remove the bytes of rows that have ended; what a crash or a bucket leaves goes later."""
    for row in ended:
        part_path(context.store, row.id).unlink(missing_ok=True)
        if row.completed_at is not None:
            try:
                collect(context, row.sha256)
            except StoreAwayError as error:
                _log.warning("a personal model's bytes are collected later: %s", error)


def drop_abandoned(context: Context) -> None:
    """Give up models that nobody will finish sending."""
    with context.sessions.begin() as session:
        rows = repository.abandoned(session, context.settings.unreferenced_kept, limit=100)
        repository.end(session, rows)
    _forget(context, rows)
