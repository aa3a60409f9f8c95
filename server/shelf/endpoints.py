"""Routes of the personal-model shelf."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from server.auth import ClientOnly, ClientOrViewer, Reader
from server.context import App
from server.documentation import OF_DISKS, example, problems
from server.examples import SHELF, SHELF_DELETED, SHELF_PUT, SHELF_UPLOAD
from server.idempotency import Key
from server.shelf import service, views
from server.storage import exclusive_part, part_path
from server.updates.artifacts import ByteRange, check_range
from server.updates.receiving import BINARY, BYTES, Offset, receive
from shared.problem_codes import Code
from shared.shelf import ShelfDeleted, ShelfPut, ShelfUpload, ShelfView

router = APIRouter(prefix="/v1/jobs/{job_id}/shelf", tags=["personal-model shelf"])
_OF_WHOLE = (Code.UPLOAD_BUSY, Code.WRONG_HASH)
"""Also of an announcement, where all bytes came before a crash."""


@router.get(
    "",
    summary="List personal models",
    responses={**example(SHELF, "What is there, and how large."), **problems(Code.NOT_FOUND)},
)
def list_shelf(job_id: UUID, app: App, principal: ClientOrViewer) -> ShelfView:
    """List whose personal model is on the shelf: a client sees its own row alone."""
    with app.sessions.begin() as session:
        return views.shelf(session, principal, job_id)


@router.post(
    "",
    status_code=201,
    summary="Announce a personal model",
    responses={
        **example(SHELF_UPLOAD, "Send the bytes from `offset` on.", 201),
        **problems(
            Code.NOT_FOUND,
            Code.NOT_ASKED,
            Code.IDEMPOTENCY_KEY_REUSED,
            *OF_DISKS,
            *_OF_WHOLE,
        ),
    },
)
def announce(
    job_id: UUID,
    wish: Annotated[ShelfPut, Body(examples=[SHELF_PUT])],
    app: App,
    principal: ClientOnly,
    key: Key = None,
) -> ShelfUpload:
    """Announce the calling client's model; its space is reserved. Again: the same upload.

    Another one takes the place of one that was on its way.
    """
    return service.announce(app, principal, job_id, wish, key)


@router.patch(
    "/{model_id}",
    summary="Send a personal model's bytes",
    responses={
        **example({**SHELF_UPLOAD, "offset": 4096, "complete": True}, "The bytes are here."),
        **problems(Code.NOT_FOUND, *OF_DISKS, Code.WRONG_OFFSET, *_OF_WHOLE),
    },
    openapi_extra=BINARY,
)
async def send(
    job_id: UUID,
    model_id: UUID,
    request: Request,
    app: App,
    principal: ClientOnly,
    upload_offset: Offset,
) -> ShelfUpload:
    """Append bytes at `Upload-Offset`; with the last one the hash is compared, and they are kept.

    What arrived before a broken connection stays: announce it again and go on from its offset.
    """
    row = await run_in_threadpool(service.writable, app, principal, job_id, model_id)
    if row.completed_at is not None:
        return service.upload_view(app, row)
    with exclusive_part(part_path(app.store, row.id)) as handle:
        await receive(request, service.upload_view(app, row), handle, upload_offset)
        if service.upload_view(app, row).offset == row.n_bytes:
            return await run_in_threadpool(service.complete, app, principal, row)
    return service.upload_view(app, row)


@router.get(
    "/{model_id}",
    summary="Download a personal model",
    response_class=FileResponse,
    responses={
        200: {"description": "The bytes.", "content": {"application/octet-stream": BYTES}},
        206: {"description": "A range.", "content": {"application/octet-stream": BYTES}},
        **problems(Code.NOT_FOUND, Code.WRONG_RANGE),
    },
)
def download(
    job_id: UUID,
    model_id: UUID,
    app: App,
    principal: ClientOnly,
    byte_range: ByteRange = None,
) -> FileResponse:
    """Download the calling client's own model, as it was put there; nobody else may."""
    path = service.readable(app, principal, job_id, model_id)
    check_range(byte_range, path)
    headers = {"Cache-Control": "private, no-store", "ETag": f'"{path.name}"'}
    return FileResponse(path, media_type="application/octet-stream", headers=headers)


@router.delete(
    "",
    summary="Delete personal models",
    responses={**example(SHELF_DELETED, "Whose are gone."), **problems(Code.NOT_FOUND)},
)
def clear(job_id: UUID, app: App, principal: Reader) -> ShelfDeleted:
    """Delete the calling client's model, its bytes too; an operator deletes all of the job's."""
    return service.clear(app, principal, job_id)
