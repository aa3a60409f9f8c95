"""Conditional requests: who has an answer already is told so, and not sent it again.

Every JSON answer to a GET has an ETag of its bytes. It saves the way, not the work: the answer is
made to know whether it is the same.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override

from server.held_back import JSON, HeldBack

_NOT_MODIFIED = 304


class Conditional:
    """ASGI middleware; answers 304 to an If-None-Match that names what would be sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; hold back a JSON answer until it is whole."""
        if scope["type"] == "http" and scope["method"] == "GET":
            send = _Answer(send, Headers(scope=scope).getlist("if-none-match")).send
        await self._app(scope, receive, send)


class _Answer(HeldBack):
    """An answer that is named, and not sent to who has it."""

    def __init__(self, send: Send, known: list[str]) -> None:
        super().__init__(send)
        self._known = known

    @override
    async def finish(self, start: Message, body: bytes) -> None:
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = MutableHeaders(scope=start)
        headers["ETag"] = tag
        headers["Cache-Control"] = "private, no-cache"
        if names(self._known, tag):
            del headers["content-length"]
            del headers["content-type"]
            start["status"], body = _NOT_MODIFIED, b""
        await self.let_go(start, body)


def names(known: Iterable[str], tag: str) -> bool:
    """Whether an If-None-Match names the tag, as it stands or as a weak one (RFC 9110, 13.1.2)."""
    wanted = [each.strip() for line in known for each in line.split(",")]
    return "*" in wanted or any(each.removeprefix("W/") == tag for each in wanted)


def describe(document: dict[str, Any]) -> None:
    """Add to OpenAPI what the middleware does."""
    for path in document["paths"].values():
        asked = path.get("get")
        if asked is None or JSON not in asked["responses"].get("200", {}).get("content", {}):
            continue
        asked["responses"]["200"]["headers"] = {
            "ETag": {"description": "Names the answer as it is.", "schema": {"type": "string"}}
        }
        asked["responses"][str(_NOT_MODIFIED)] = {"description": "It is what If-None-Match names."}
        asked.setdefault("parameters", []).append(
            {
                "name": "If-None-Match",
                "in": "header",
                "required": False,
                "description": "An ETag of an earlier answer, which is not sent again if it holds.",
                "schema": {"type": "string"},
            }
        )
