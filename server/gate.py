"""What every request passes before its body is read: a valid key, and a body of known size.

What a thousand idle clients ask again and again is answered here too: see `Shortcuts`.
"""

import re
from collections.abc import Callable, Mapping
from http import HTTPMethod

from sqlalchemy.exc import DataError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from server.auth import Principal, Watchers, find_principal, is_open, unauthorized
from server.context import Context
from server.database import glance
from server.errors import DATABASE_AWAY, ProblemError, database_away
from shared import logs
from shared.problem_codes import Code

SMALL_BODY_BYTES = 64 << 10
LARGE_BODY_BYTES = 1 << 20
_LARGE = re.compile(
    r"/v1/jobs(?:/[^/]+/fork)?(?::dry-run)?|/v1/uploads|/v1/artifacts:bundle"
    r"|/v1/assignments/[^/]+/(?:result|catalogue)|/v1/dry-runs/[^/]+/description"
)
STREAMED = re.compile(r"/v1/uploads/[^/]+|/v1/jobs/[^/]+/shelf/[^/]+")
WITH_BODY = frozenset({HTTPMethod.POST, HTTPMethod.PUT, HTTPMethod.PATCH})

Shortcuts = Mapping[tuple[str, str], Callable[[Session, Principal, Headers], bool]]
"""(method, path) -> whether the caller is answered 204, found in the session that found its key.

For requests without a body. Routing, dependencies and a second session cost several times as much
as the answer that there is nothing to do.
"""


class Gate:
    """ASGI middleware; answers 204, 401, 411, 413, 415 and 503 by itself."""

    def __init__(
        self, app: ASGIApp, context: Context, shortcuts: Shortcuts, watchers: Watchers
    ) -> None:
        self._app = app
        self._context = context
        self._shortcuts = shortcuts
        self._watchers = watchers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request pass, or answer it."""
        if scope["type"] == "http" and not is_open(scope["path"]):
            try:
                answer = await run_in_threadpool(self._enter, scope)
            except ProblemError as error:
                answer = error.response()
            if answer is not None:
                await answer(scope, receive, send)
                return
            logs.note(client=scope["tapestry.principal"].client)
        await self._app(scope, receive, send)

    def _enter(self, scope: Scope) -> Response | None:
        """Note who calls; returns the answer where it is known. Raises ProblemError."""
        headers = HTTPConnection(scope).headers
        path, key = scope["path"], headers.get("authorization")
        known = self._shortcuts.get((scope["method"], path))
        try:
            with glance(self._context.sessions) as session:
                principal = find_principal(session, key)
                _check_body(scope["method"], path, headers)
                if known and not _has_body(headers) and known(session, principal, headers):
                    return Response(status_code=204)
        except DATABASE_AWAY as error:
            remembered = self._watchers.recall(path, key)
            if remembered is None:
                raise database_away() from error
            principal = remembered
        except ProblemError:
            self._watchers.forget(key)
            raise
        except DataError as error:
            raise unauthorized() from error
        self._watchers.remember(path, key, principal)
        scope["tapestry.principal"] = principal
        return None


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _check_body(method: str, path: str, headers: Headers) -> None:
    """Raises ProblemError. What asks without a body has none that is read, whatever it says."""
    if method not in WITH_BODY:
        return
    if headers.get("content-encoding", "identity") != "identity":
        raise ProblemError(
            415, Code.CONTENT_ENCODING, "Encoded bodies are not read: send it without an encoding."
        )
    length = headers.get("content-length")
    if length is None and "transfer-encoding" in headers:
        raise ProblemError(411, Code.LENGTH_REQUIRED, "Send the body with a Content-Length header.")
    if not length:
        return
    if not (length.isascii() and length.isdigit()):
        raise ProblemError(400, Code.BAD_LENGTH, "Content-Length must be a number of bytes.")
    limit = _limit(path)
    if limit is not None and int(length) > limit:
        raise ProblemError(
            413, Code.TOO_LARGE, f"The body may have {limit} bytes here: send a smaller one."
        )


def _limit(path: str) -> int | None:
    """The most bytes of a body on that path; None where the route itself limits it."""
    if STREAMED.fullmatch(path):
        return None
    return LARGE_BODY_BYTES if _LARGE.fullmatch(path) else SMALL_BODY_BYTES
