"""Routes of workers about uploads."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Header, Request
from starlette.concurrency import run_in_threadpool

from server.auth import Worker
from server.context import App, Context
from server.documentation import example, problems
from server.errors import ProblemError
from server.examples import UPLOAD, UPLOAD_CREATE
from server.idempotency import Key
from server.storage import append, exclusive_part, part_path
from server.tables import Upload
from server.updates import service
from shared.crash_points import crash_point
from shared.messages import UploadCreate, UploadView
from shared.problem_codes import Code

router = APIRouter(prefix="/v1", tags=["uploads and artifacts"])

_BYTES = {"schema": {"type": "string", "format": "binary"}}
_LONGEST = 2**63 - 1


@router.post(
    "/uploads",
    status_code=201,
    summary="Announce an upload",
    responses={
        **example(UPLOAD, "Send the components' files in this order, from `offset` on.", 201),
        **problems(404, 409, 507),
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
    responses={**example(UPLOAD, "How much is here."), **problems(404)},
)
def show(upload_id: UUID, app: App, principal: Worker) -> UploadView:
    """Show how many bytes have arrived, to resume from there."""
    return service.show(app, principal, upload_id)


@router.patch(
    "/uploads/{upload_id}",
    summary="Send bytes",
    responses={
        **example({**UPLOAD, "offset": 4096, "complete": True}, "The bytes are here."),
        **problems(404, 409, 411, 413, 415, 507),
    },
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/octet-stream": _BYTES}}
    },
)
async def send(
    upload_id: UUID,
    request: Request,
    app: App,
    principal: Worker,
    upload_offset: Annotated[
        int, Header(ge=0, le=_LONGEST, description="Where these bytes begin.", examples=[0])
    ],
) -> UploadView:
    """Append bytes at `Upload-Offset`; with the last one, the components are checked and kept.

    What arrived before a broken connection stays: ask for the offset and go on from there.
    """
    upload, specs = await run_in_threadpool(service.writable, app, principal, upload_id)
    if upload.completed_at is not None:
        return service.upload_view(app.store, upload)
    with exclusive_part(part_path(app.store, upload.id)) as handle:
        await _receive(request, app, upload, handle, upload_offset)
        if service.upload_view(app.store, upload).offset == upload.n_bytes:
            return await run_in_threadpool(service.complete, app, upload, specs)
    return service.upload_view(app.store, upload)


async def _receive(
    request: Request, app: Context, upload: Upload, handle: int, offset: int
) -> None:
    """Append the body, chunk by chunk; never more than is missing."""
    remaining = _check_size(request, service.upload_view(app.store, upload), offset)
    async for chunk in request.stream():
        remaining -= len(chunk)
        if remaining < 0:
            raise _too_long(upload.n_bytes)
        if chunk:
            await run_in_threadpool(append, handle, chunk)
            crash_point("api.received")


def _check_size(request: Request, view: UploadView, offset: int) -> int:
    """Bytes that are missing. Raises ProblemError (409, 411, 413)."""
    length = request.headers.get("content-length")
    if length is None:
        raise ProblemError(
            411, Code.LENGTH_REQUIRED, "Send the bytes with a Content-Length header."
        )
    if offset != view.offset:
        detail = f"The next byte wanted is {view.offset}, not {offset}: go on from there."
        raise ProblemError(409, Code.WRONG_OFFSET, detail)
    if int(length) > view.n_bytes - offset:
        raise _too_long(view.n_bytes)
    return view.n_bytes - offset


def _too_long(n_bytes: int) -> ProblemError:
    return ProblemError(413, Code.TOO_LARGE, f"The upload has {n_bytes} bytes: send no more.")
