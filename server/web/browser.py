"""What a browser needs and no program does: a cookie for its key, and pages instead of problems.

A cookie is a key for reading alone, and only where the request comes from this page itself: other
sites can make a browser ask, but not with it (SameSite), and never to change anything.
"""

import json
from collections.abc import Iterable
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.web.site import page

SIGN_IN = "/signin"
_READING = frozenset({"GET", "HEAD"})
_FROM_HERE = frozenset({None, "same-origin", "none"})  # none: the address bar
_PROBLEM = "application/problem+json"


def cookie_name(headers: Headers) -> str:
    """Cookies are one host's, whatever the port: each that the browser names has one of its own."""
    port = headers.get("host", "").rpartition(":")[2]
    return f"tapestry_key_{port if port.isascii() and port.isdigit() else 'standard'}"


class Browser:
    """ASGI middleware, the outermost."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the key from the cookie; answer a page's problem as a page."""
        if scope["type"] == "http" and scope["method"] in _READING:
            headers = Headers(scope=scope)
            key = _key(headers)
            if key is not None:
                bearer = (b"authorization", f"Bearer {key}".encode("latin-1"))
                scope["headers"] = [*scope["headers"], bearer]
            if _wants_page(scope["path"], headers):
                scope["query_string"] = _filled_in(scope["query_string"])
                send = _Answer(scope, receive, send).send
        await self._app(scope, receive, send)


def _key(headers: Headers) -> str | None:
    if "authorization" in headers or headers.get("sec-fetch-site") not in _FROM_HERE:
        return None
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(cookie_name(headers))
    except CookieError:
        return None
    return found.value if found is not None and found.value.isascii() else None


def _wants_page(path: str, headers: Headers) -> bool:
    return not path.startswith("/v1/") and "text/html" in headers.get("accept", "")


def _filled_in(query: bytes) -> bytes:
    """Without the fields of a form that its reader left empty."""
    return b"&".join(field for field in query.split(b"&") if not field.endswith(b"="))


class _Answer:
    """An answer to a browser on its way; problems are held back until they are whole."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._held: Message | None = None
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        """What the app sends."""
        if message["type"] == "http.response.start" and _is_problem(message.get("headers", [])):
            self._held = message
        elif self._held is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                answer = self._page(json.loads(self._body), Headers(raw=self._held["headers"]))
                await answer(self._scope, self._receive, self._send)

    def _page(self, problem: dict[str, Any], headers: Headers) -> Response:
        """The way to the sign-in for who has no valid key; else the problem for people."""
        if problem["status"] == HTTPStatus.UNAUTHORIZED:
            query = self._scope["query_string"].decode("latin-1")
            here = self._scope["path"] + (f"?{query}" if query else "")
            return RedirectResponse(f"{SIGN_IN}?next={quote(here, safe='')}", 303)
        kept = {name: headers[name] for name in ("retry-after",) if name in headers}
        found = page("problem.html", {"problem": problem}, problem["status"])
        found.headers.update(kept)
        return found


def _is_problem(raw: Iterable[tuple[bytes, bytes]]) -> bool:
    return Headers(raw=list(raw)).get("content-type", "").startswith(_PROBLEM)
