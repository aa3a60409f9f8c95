"""JSON answers that a middleware must have whole before it lets them go."""

from abc import ABC, abstractmethod
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import Message, Send

JSON = "application/json"


class HeldBack(ABC):
    """An answer on its way: a JSON one waits until it is whole, any other passes."""

    def __init__(self, send: Send) -> None:
        self._send = send
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
                await self.finish(self._start, bytes(self._body))

    async def let_go(self, start: Message, body: bytes) -> None:
        """Send it."""
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})

    @abstractmethod
    async def finish(self, start: Message, body: bytes) -> None:
        """What becomes of a JSON answer that is whole."""


def _is_json(message: Message) -> bool:
    kind = Headers(raw=message.get("headers", [])).get("content-type", "")
    return bool(message["status"] == HTTPStatus.OK and kind.partition(";")[0] == JSON)
