"""What every request passes before its body is read: a valid key, and a body of known size."""

import re
from http import HTTPMethod

from sqlalchemy.exc import DataError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from server.auth import OPEN_PATHS, Principal, find_principal, unauthorized
from server.context import Context
from server.database import glance
from server.errors import DATABASE_AWAY, ProblemError, database_away

SMALL_BODY_BYTES = 64 << 10
LARGE_BODY_BYTES = 1 << 20
_LARGE = re.compile(
    r"/v1/jobs(?:/[^/]+/fork)?|/v1/uploads|/v1/assignments/[^/]+/(?:result|catalogue)"
)
_STREAMED = re.compile(r"/v1/uploads/[^/]+")
_WITH_BODY = frozenset({HTTPMethod.POST, HTTPMethod.PUT, HTTPMethod.PATCH})


class Gate:
    """ASGI middleware; answers 401, 411, 413, 415 and 503 by itself."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request pass, or answer with a problem."""
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            try:
                connection = HTTPConnection(scope)
                scope["tapestry.principal"] = await run_in_threadpool(self._principal, connection)
                _check_body(scope["method"], scope["path"], connection.headers)
            except ProblemError as error:
                await error.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _principal(self, connection: HTTPConnection) -> Principal:
        try:
            with glance(self._context.sessions) as session:
                return find_principal(session, connection.headers.get("authorization"))
        except DATABASE_AWAY as error:
            raise database_away() from error
        except DataError as error:
            raise unauthorized() from error


def _check_body(method: str, path: str, headers: Headers) -> None:
    if headers.get("content-encoding", "identity") != "identity":
        raise ProblemError(
            415, "content_encoding", "Encoded bodies are not read: send it without an encoding."
        )
    length = headers.get("content-length")
    if length is None and "transfer-encoding" in headers:
        raise ProblemError(411, "length_required", "Send the body with a Content-Length header.")
    if method not in _WITH_BODY or not length:
        return
    if not (length.isascii() and length.isdigit()):
        raise ProblemError(400, "bad_length", "Content-Length must be a number of bytes.")
    limit = _limit(path)
    if limit is not None and int(length) > limit:
        raise ProblemError(
            413, "too_large", f"The body may have {limit} bytes here: send a smaller one."
        )


def _limit(path: str) -> int | None:
    """The most bytes of a body on that path; None where the route itself limits it."""
    if _STREAMED.fullmatch(path):
        return None
    return LARGE_BODY_BYTES if _LARGE.fullmatch(path) else SMALL_BODY_BYTES
