"""Conditional requests: who has an answer already is told so, and not sent it again.

Every JSON answer to a GET has an ETag of its bytes. It saves the way, not the work: the answer is
made to know whether it is the same.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_JSON = "application/json"
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


class _Answer:
    """An answer on its way."""

    def __init__(self, send: Send, known: list[str]) -> None:
        self._send, self._known = send, known
        self._start: Message | None = None
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        """What the app sends."""
        if message["type"] == "http.response.start" and _is_json(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish(self._start)

    async def _finish(self, start: Message) -> None:
        tag = f'"{hashlib.sha256(self._body).hexdigest()[:32]}"'
        headers = MutableHeaders(scope=start)
        headers["ETag"] = tag
        headers["Cache-Control"] = "private, no-cache"
        if names(self._known, tag):
            del headers["content-length"]
            del headers["content-type"]
            self._body.clear()
            start["status"] = _NOT_MODIFIED
        await self._send(start)
        await self._send({"type": "http.response.body", "body": bytes(self._body)})


def _is_json(message: Message) -> bool:
    kind = Headers(raw=message.get("headers", [])).get("content-type", "")
    return message["status"] == 200 and kind.partition(";")[0] == _JSON


def names(known: Iterable[str], tag: str) -> bool:
    """Whether an If-None-Match names the tag, as it stands or as a weak one (RFC 9110, 13.1.2)."""
    wanted = [each.strip() for line in known for each in line.split(",")]
    return "*" in wanted or any(each.removeprefix("W/") == tag for each in wanted)


def describe(document: dict[str, Any]) -> None:
    """Add to OpenAPI what the middleware does."""
    for path in document["paths"].values():
        asked = path.get("get")
        if asked is None or _JSON not in asked["responses"].get("200", {}).get("content", {}):
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
