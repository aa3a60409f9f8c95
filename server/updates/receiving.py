"""Taking a body's bytes into the part file of an upload."""

from typing import Annotated, Any, Protocol

from fastapi import Header, Request
from starlette.concurrency import run_in_threadpool

from server.errors import ProblemError
from server.storage import append
from shared.crash_points import crash_point
from shared.problem_codes import Code

BYTES = {"schema": {"type": "string", "format": "binary"}}
BINARY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/octet-stream": BYTES}}
}
_LONGEST = 2**63 - 1

Offset = Annotated[
    int, Header(ge=0, le=_LONGEST, description="Where these bytes begin.", examples=[0])
]


class Expected(Protocol):
    """A stream of `n_bytes`, of which the first `offset` are here."""

    @property
    def offset(self) -> int:
        """The next byte that is wanted."""

    @property
    def n_bytes(self) -> int:
        """All of them."""


async def receive(request: Request, view: Expected, handle: int, offset: int) -> None:
    """Append the body to the part, chunk by chunk; never more than is missing.

    Raises ProblemError (409, 411, 413, 503, 507).
    """
    remaining = _check_size(request, view, offset)
    async for chunk in request.stream():
        remaining -= len(chunk)
        if remaining < 0:
            raise _too_long(view.n_bytes)
        if chunk:
            await run_in_threadpool(append, handle, chunk)
            crash_point("api.received")


def _check_size(request: Request, view: Expected, offset: int) -> int:
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
