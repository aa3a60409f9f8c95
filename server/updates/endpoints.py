"""Routes of workers about uploads and artifacts."""

import re
from pathlib import Path
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Header, Request
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from server.auth import Reader, Worker
from server.columns import Scope
from server.context import App, Context
from server.documentation import example, problems
from server.errors import ProblemError, not_found
from server.examples import UPLOAD, UPLOAD_CREATE
from server.storage import append, exclusive_part, part_path
from server.tables import Upload
from server.updates import repository, service
from shared.job_spec import Sha256
from shared.messages import UploadCreate, UploadView

router = APIRouter(prefix="/v1", tags=["uploads and artifacts"])

_BYTES = {"schema": {"type": "string", "format": "binary"}}
_RANGE = re.compile(r"bytes=(\d{1,18})?-(\d{1,18})?")
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
    wish: Annotated[UploadCreate, Body(examples=[UPLOAD_CREATE])], app: App, principal: Worker
) -> UploadView:
    """Announce components' bytes; their space is reserved. Again: the same upload."""
    return service.create(app, principal, wish)


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


def _check_size(request: Request, view: UploadView, offset: int) -> int:
    """Bytes that are missing. Raises ProblemError (409, 411, 413)."""
    length = request.headers.get("content-length")
    if length is None:
        raise ProblemError(411, "length_required", "Send the bytes with a Content-Length header.")
    if offset != view.offset:
        detail = f"The next byte wanted is {view.offset}, not {offset}: go on from there."
        raise ProblemError(409, "wrong_offset", detail)
    if int(length) > view.n_bytes - offset:
        raise _too_long(view.n_bytes)
    return view.n_bytes - offset


def _too_long(n_bytes: int) -> ProblemError:
    return ProblemError(413, "too_large", f"The upload has {n_bytes} bytes: send no more.")


@router.head(
    "/artifacts/{sha256}",
    summary="Measure an artifact",
    operation_id="measure_artifact",
    response_class=FileResponse,
    responses={200: {"description": "The headers of the bytes."}, **problems(404, 416)},
)
@router.get(
    "/artifacts/{sha256}",
    summary="Download an artifact",
    response_class=FileResponse,
    responses={
        200: {"description": "The bytes.", "content": {"application/octet-stream": _BYTES}},
        206: {"description": "A range.", "content": {"application/octet-stream": _BYTES}},
        **problems(404, 416),
    },
)
def download(
    sha256: Sha256,
    app: App,
    principal: Reader,
    byte_range: Annotated[
        str | None, Header(alias="Range", description="One range.", examples=["bytes=0-1023"])
    ] = None,
) -> FileResponse:
    """Download an artifact that one of the caller's assignments starts from."""
    if principal.scope is Scope.CLIENT:
        with app.sessions.begin() as session:
            if not repository.may_read(session, principal.client or "", sha256):
                raise not_found("artifact")
    if not app.store.has(sha256):
        raise not_found("artifact")
    path = app.store.path(sha256)
    _check_range(byte_range, path)
    headers = {"Cache-Control": "private, max-age=31536000, immutable", "ETag": f'"{sha256}"'}
    return FileResponse(path, media_type="application/octet-stream", headers=headers)


def _check_range(byte_range: str | None, path: Path) -> None:
    """Raises ProblemError (416) for anything but one range inside the file."""
    if byte_range is None:
        return
    size = path.stat().st_size
    match = _RANGE.fullmatch(byte_range)
    first, last = match.groups() if match else (None, None)
    inside = int(first) < size if first else bool(last) and int(last or 0) > 0
    ordered = not (first and last) or int(first) <= int(last)
    if match is None or not inside or not ordered:
        raise ProblemError(
            416,
            "wrong_range",
            f"Ask for one range inside the {size} bytes, such as bytes=0-{size - 1}.",
            headers={"Content-Range": f"bytes */{size}"},
        )
