"""What every request leaves behind: a name, counts by route, and a line where it was refused.

By the route's template, never by the path: nobody outside decides how many series there are.
"""

import logging
import re
import secrets
import time
from collections.abc import Collection, Mapping
from http import HTTPMethod, HTTPStatus

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.watching.meters import Meters
from shared import logs, tracing

REQUEST_HEADER = "X-Request-Id"
UNROUTED = "(none)"  # it was answered before, or without, finding a route
_OTHER = "(other)"
_GONE = 499  # the caller left before it was answered
_METHODS = frozenset(HTTPMethod)
_GIVEN = re.compile(r"[\w-]{8,64}", re.ASCII)
_log = logging.getLogger(__name__)


class Watched:
    """ASGI middleware around all others; `paths` are those of the routes without parameters."""

    def __init__(self, app: ASGIApp, meters: Meters, paths: Collection[str]) -> None:
        self._app = app
        self._meters = meters
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request pass, and note what becomes of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = _name(Headers(scope=scope))
        scope["tapestry.request_id"] = name
        passing = _Passing(scope, receive, send, name)
        # Not taken back: it ends with the request's task, and uvicorn's line of a fault is of it.
        logs.begin(request=name, trace=tracing.trace_id())
        try:
            await self._app(scope, passing.receive, passing.send)
        except ClientDisconnect:
            passing.status = _GONE
            raise
        finally:
            self._count(scope, passing)

    def _count(self, scope: Scope, passing: "_Passing") -> None:
        route = template(scope, self._paths)
        method = scope["method"] if scope["method"] in _METHODS else _OTHER
        seconds = time.perf_counter() - passing.began
        meters, status = self._meters, passing.status
        meters.requests.labels(route, method, str(status)).inc()
        meters.request_seconds.labels(route, method).observe(seconds)
        meters.received_bytes.labels(route).inc(passing.received_bytes)
        meters.sent_bytes.labels(route).inc(passing.sent_bytes)
        if status >= HTTPStatus.BAD_REQUEST:
            level = logging.WARNING if status >= HTTPStatus.INTERNAL_SERVER_ERROR else logging.INFO
            answered = {"route": route, "status": status, "ms": round(seconds * 1000, 1)}
            _log.log(level, "%s is answered %s", method, status, extra={"about": answered})


class _Passing:
    """A request on its way; one that gets no answer is a fault of ours."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, name: str) -> None:
        self.began = time.perf_counter()
        self.status = int(HTTPStatus.INTERNAL_SERVER_ERROR)
        self.received_bytes = self.sent_bytes = 0
        self._receive, self._send = receive, send
        self._name = name
        self._has_body = scope["method"] != HTTPMethod.HEAD

    async def receive(self) -> Message:
        """What the caller sends."""
        message = await self._receive()
        self.received_bytes += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        """What the caller gets."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)[REQUEST_HEADER] = self._name
        elif self._has_body:
            self.sent_bytes += len(message.get("body", b""))
        await self._send(message)


def plain_paths(app: FastAPI) -> frozenset[str]:
    """The paths of the routes that have no parameters."""
    paths = (route.path or "" for route in iter_route_contexts(app.routes))
    return frozenset(path for path in paths if "{" not in path)


def _name(headers: Headers) -> str:
    """The request's name: the caller's own, if it is a plain one."""
    given = headers.get(REQUEST_HEADER, "")
    return given if _GIVEN.fullmatch(given) else secrets.token_hex(8)


def template(scope: Mapping[str, object], paths: Collection[str]) -> str:
    """The template of the route that answered."""
    found: object = getattr(scope.get("route"), "path", None)
    if found is None and scope["path"] in paths:
        found = scope["path"]
    return found if isinstance(found, str) else UNROUTED
