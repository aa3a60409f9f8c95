"""How the API takes requests off its socket: parsed in C, and no head that grows without an end."""

import os
import socket
import sys
from typing import Any

import httptools
import uvicorn
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 16 << 10
_KEEP_ALIVE_S = 60  # well above a worker's poll interval: else each poll makes a new connection
_TOO_LONG = f"A request line and its headers may have {HEAD_BYTES} bytes: send fewer or shorter."


class BoundedHeads(HttpToolsProtocol):
    """HTTP/1.1 by llhttp, which takes heads of any length; these end at HEAD_BYTES with 400.

    A body that comes in chunks is not read, as the API takes none (411): a parser would go on
    taking what may follow it.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._in_head = True
        self._head_bytes = 0  # what has come of the head, but for what came with another's end
        self._deaf = False

    @override
    def data_received(self, data: bytes) -> None:
        if self._deaf or self.transport.is_closing():
            return
        counted = self._in_head
        super().data_received(data)
        if self._in_head and counted:
            self._head_bytes += len(data)
            if self._too_long() and not self.transport.is_closing():
                self.send_400_response("")

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0

    @override
    def on_headers_complete(self) -> None:
        self._in_head = False
        lengths = (len(name) + len(value) for name, value in self.headers)
        self._head_bytes = len(self.url) + sum(lengths)
        if self._too_long():
            raise httptools.HttpParserError(_TOO_LONG)
        super().on_headers_complete()
        if any(name == b"transfer-encoding" for name, _ in self.headers):
            self._deaf = True
            self.cycle.keep_alive = self.cycle.more_body = False

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._deaf:
            super().on_header(name, value)

    @override
    def on_body(self, body: bytes) -> None:
        if not self._deaf:
            super().on_body(body)

    @override
    def send_400_response(self, msg: str) -> None:
        super().send_400_response(_TOO_LONG if self._too_long() else msg)

    def _too_long(self) -> bool:
        return self._head_bytes > HEAD_BYTES


def serve(app: Any, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; ends the process when the port cannot be had."""
    config = uvicorn.Config(
        app,
        http=BoundedHeads,
        ws="none",
        timeout_graceful_shutdown=10,
        timeout_keep_alive=_KEEP_ALIVE_S,
        log_config=None,
        access_log=False,  # a thousand idle clients ask two hundred times a second
    )
    uvicorn.Server(config).run(sockets=[_listen(host, port)])


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; ends the process with one sentence when the port cannot be had.

    Its connections inherit TCP_NODELAY, which asyncio sets only where a socket names its protocol:
    without it the end of each answer waits 40 ms for the caller's delayed acknowledgement.
    """
    try:
        listening = socket.create_server((host, port), backlog=2048)
    except OSError as error:
        sys.exit(f"Port {port} of {host} cannot be used ({_why(error)}): set TAPESTRY_PORT.")
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _why(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
