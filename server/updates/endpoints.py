"""Routes of workers about uploads."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request
from starlette.concurrency import run_in_threadpool

from server.auth import Worker
from server.context import App
from server.documentation import OF_DISKS, example, problems
from server.examples import UPLOAD, UPLOAD_CREATE
from server.idempotency import Key
from server.storage import exclusive_part, part_path
from server.updates import service
from server.updates.receiving import BINARY, Offset, receive
from shared.messages import UploadCreate, UploadView
from shared.problem_codes import Code

router = APIRouter(prefix="/v1", tags=["uploads and artifacts"])
_OF_WHOLE = (
    Code.UPLOAD_BUSY,
    Code.WRONG_HEADER,
    Code.NOT_FINITE,
    Code.TOO_SHORT,
    Code.WRONG_HASH,
)
"""Also of an announcement, where all bytes came before a crash."""
_ANNOUNCING = (
    Code.STALE_LEASE,
    Code.NO_CATALOGUE,
    Code.IDEMPOTENCY_KEY_REUSED,
    Code.NOTHING_TO_UPLOAD,
    Code.UNKNOWN_COMPONENT,
    Code.WRONG_LENGTH,
    *_OF_WHOLE,
)
_OF_BYTES = (Code.STALE_LEASE, Code.WRONG_OFFSET, *_OF_WHOLE)


@router.post(
    "/uploads",
    status_code=201,
    summary="Announce an upload",
    responses={
        **example(UPLOAD, "Send the components' files in this order, from `offset` on.", 201),
        **problems(Code.NOT_FOUND, *OF_DISKS, *_ANNOUNCING),
    },
)
def create(
    wish: Annotated[UploadCreate, Body(examples=[UPLOAD_CREATE])],
    app: App,
    principal: Worker,
    key: Key = None,
) -> UploadView:
    """Announce components' bytes; their space is reserved. Again: the same upload, with any key."""
    return service.create(app, principal, wish, key)


@router.get(
    "/uploads/{upload_id}",
    summary="Show an upload",
    responses={**example(UPLOAD, "How much is here."), **problems(Code.NOT_FOUND)},
)
def show(upload_id: UUID, app: App, principal: Worker) -> UploadView:
    """Show how many bytes have arrived, to resume from there."""
    return service.show(app, principal, upload_id)


@router.patch(
    "/uploads/{upload_id}",
    summary="Send bytes",
    responses={
        **example({**UPLOAD, "offset": 4096, "complete": True}, "The bytes are here."),
        **problems(Code.NOT_FOUND, *OF_DISKS, *_OF_BYTES),
    },
    openapi_extra=BINARY,
)
async def send(
    upload_id: UUID,
    request: Request,
    app: App,
    principal: Worker,
    upload_offset: Offset,
) -> UploadView:
    """Append bytes at `Upload-Offset`; with the last one, the components are checked and kept.

    What arrived before a broken connection stays: ask for the offset and go on from there.
    """
    upload, specs = await run_in_threadpool(service.writable, app, principal, upload_id)
    if upload.completed_at is not None:
        return service.upload_view(app.store, upload)
    with exclusive_part(part_path(app.store, upload.id)) as handle:
        view = service.upload_view(app.store, upload)
        await receive(request, view, handle, upload_offset)
        if service.upload_view(app.store, upload).offset == upload.n_bytes:
            return await run_in_threadpool(service.complete, app, upload, specs)
    return service.upload_view(app.store, upload)
