"""A forward proxy, as a hospital's: it alone knows where the world's names lie."""

import select
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cli.stack.ports import LOCALHOST

PASSWORD = "Basic dXNlcjpzZWNyZXQ="


class ForwardProxy(ThreadingHTTPServer):
    """Carries connections to the names that it knows, all of them on this machine."""

    daemon_threads = True

    def __init__(self, ports: Mapping[str, int], *, asks: bool = False) -> None:
        self.ports = ports
        self.asks = asks  # for a name and a password
        self.connected: list[str] = []
        super().__init__((LOCALHOST, 0), _Carrier)

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"{LOCALHOST}:{self.server_address[1]}"


class _Carrier(BaseHTTPRequestHandler):
    server: ForwardProxy

    def do_CONNECT(self) -> None:
        if self.server.asks and self.headers["Proxy-Authorization"] != PASSWORD:
            self.send_error(HTTPStatus.PROXY_AUTHENTICATION_REQUIRED)
            return
        name = self.path.partition(":")[0]
        if name not in self.server.ports:
            self.send_error(HTTPStatus.BAD_GATEWAY)
            return
        self.server.connected.append(self.path)
        self.send_response(HTTPStatus.OK)
        self.end_headers()
        with socket.create_connection((LOCALHOST, self.server.ports[name])) as there:
            _carry(self.connection, there)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _carry(one: socket.socket, other: socket.socket) -> None:
    ways = {one: other, other: one}
    while True:
        for ready in select.select([one, other], [], [])[0]:
            if not (piece := ready.recv(65536)):
                return
            ways[ready].sendall(piece)


@contextmanager
def forward_proxy(ports: Mapping[str, int], *, asks: bool = False) -> Iterator[ForwardProxy]:
    """A proxy that knows these names, while the block lasts."""
    with ForwardProxy(ports, asks=asks) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
