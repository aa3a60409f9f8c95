"""Routes about artifacts: the bytes that versions are made of."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Body, Header
from fastapi.responses import FileResponse, StreamingResponse

from server.auth import Principal, Reader
from server.columns import Scope
from server.context import App, Context
from server.documentation import problems
from server.errors import ProblemError, not_found
from server.examples import BUNDLE
from server.storage import disk_trouble
from server.updates import repository
from server.updates.receiving import BYTES
from shared.artifacts import CHUNK_BYTES, ArtifactError
from shared.messages import ArtifactBundle
from shared.problem_codes import Code
from shared.spec import Sha256

router = APIRouter(prefix="/v1", tags=["uploads and artifacts"])

ByteRange = Annotated[
    str | None, Header(alias="Range", description="One range.", examples=["bytes=0-1023"])
]
_RANGE = re.compile(r"bytes=(\d{1,18})?-(\d{1,18})?")


@router.head(
    "/artifacts/{sha256}",
    summary="Measure an artifact",
    operation_id="measure_artifact",
    response_class=FileResponse,
    responses={
        200: {"description": "The headers of the bytes."},
        **problems(Code.NOT_FOUND, Code.WRONG_RANGE),
    },
)
@router.get(
    "/artifacts/{sha256}",
    summary="Download an artifact",
    response_class=FileResponse,
    responses={
        200: {"description": "The bytes.", "content": {"application/octet-stream": BYTES}},
        206: {"description": "A range.", "content": {"application/octet-stream": BYTES}},
        **problems(Code.NOT_FOUND, Code.WRONG_RANGE),
    },
)
def download(
    sha256: Sha256,
    app: App,
    principal: Reader,
    byte_range: ByteRange = None,
) -> FileResponse:
    """Download an artifact that one of the caller's assignments starts from."""
    [path] = _readable(app, principal, [sha256])
    check_range(byte_range, path)
    headers = {"Cache-Control": "private, max-age=31536000, immutable", "ETag": f'"{sha256}"'}
    return FileResponse(path, media_type="application/octet-stream", headers=headers)


@router.post(
    "/artifacts:bundle",
    summary="Download artifacts",
    response_class=StreamingResponse,
    responses={
        200: {"description": "The files.", "content": {"application/octet-stream": BYTES}},
        **problems(Code.NOT_FOUND),
    },
)
def bundle(
    wanted: Annotated[ArtifactBundle, Body(examples=[BUNDLE])], app: App, principal: Reader
) -> StreamingResponse:
    """Download artifacts that the caller's assignments start from: one file after the other.

    They come in the order asked for, with nothing between them.
    """
    paths = _readable(app, principal, wanted.sha256)
    length = sum(path.stat().st_size for path in paths)
    return StreamingResponse(
        _contents(paths),
        media_type="application/octet-stream",
        headers={"Content-Length": str(length)},
    )


def _contents(paths: Iterable[Path]) -> Iterator[bytes]:
    for path in paths:
        with path.open("rb") as file:
            while piece := file.read(CHUNK_BYTES):
                yield piece


def _readable(app: Context, principal: Principal, wanted: Sequence[str]) -> list[Path]:
    """Where the artifacts lie. Raises ProblemError (404 also for what is not theirs, 503, 507)."""
    with app.sessions.begin() as session:
        if principal.scope is Scope.CLIENT:
            theirs = repository.readable(session, principal.client or "", wanted)
        else:
            theirs = set(wanted) - repository.shelved(session, wanted)
    if not theirs.issuperset(wanted):
        raise not_found("artifact")
    try:
        app.store.bring(wanted)
    except ArtifactError as error:
        raise not_found("artifact") from error
    except OSError as error:
        raise disk_trouble(error) from error
    return [app.store.path(sha256) for sha256 in wanted]


def check_range(byte_range: str | None, path: Path) -> None:
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
            Code.WRONG_RANGE,
            f"Ask for one range inside the {size} bytes, such as bytes=0-{size - 1}.",
            headers={"Content-Range": f"bytes */{size}"},
        )
