"""What comes over a real socket before a request is one: its head, and what never ends."""

import json
import socket
import time
from collections.abc import Iterator

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from server.listening import HEAD_BYTES, BoundedHeads
from tests.support.serving import served

_TOO_LONG = f"may have {HEAD_BYTES} bytes: send fewer or shorter"
_SENT_BYTES = 64 << 20  # far more than any server may take


async def _told(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that says what it was asked."""
    request = Request(scope, receive)
    body = (await request.body()).decode() if scope["path"] == "/body" else None
    told = {"path": scope["path"], "headers": len(scope["headers"]), "body": body}
    await JSONResponse(told, 411 if scope["path"] == "/chunked" else 200)(scope, receive, send)


@pytest.fixture
def connection() -> Iterator[socket.socket]:
    with served(_told, http=BoundedHeads, ws="none", lifespan="off") as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as made:
            yield made


def _all(connection: socket.socket) -> bytes:
    """What the server sends until it closes, cut off or not."""
    found = b""
    try:
        while chunk := connection.recv(1 << 16):
            found += chunk
    except ConnectionResetError:
        pass
    return found


def _answers(connection: socket.socket, n: int) -> list[dict[str, object]]:
    """The bodies of `n` answers on a connection that stays."""
    reader = connection.makefile("rb")
    found = []
    for _ in range(n):
        length = 0
        while (line := reader.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        found.append(json.loads(reader.read(length)))
    return found


def _until_refused(connection: socket.socket, piece: bytes) -> int:
    """Send without an end; returns how much the server took before it closed."""
    sent = 0
    try:
        while sent < _SENT_BYTES:
            connection.sendall(piece)
            sent += len(piece)
    except OSError:
        pass
    return sent


def _get(path: str, **headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: x", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def test_a_head_below_the_limit_is_read_and_the_connection_stays(
    connection: socket.socket,
) -> None:
    padding = {f"x-{i}": "y" * 1000 for i in range(15)}
    for _ in range(3):  # each counts for itself
        connection.sendall(_get("/a", **padding))
        assert _answers(connection, 1) == [{"path": "/a", "headers": 16, "body": None}]


@pytest.mark.parametrize("where", ["a header", "a name", "the path", "many headers"])
def test_a_head_that_is_whole_and_too_long_is_refused_with_the_limit(
    connection: socket.socket, where: str
) -> None:
    long = "y" * HEAD_BYTES
    connection.sendall(
        {
            "a header": _get("/", x=long),
            "a name": _get("/", **{long: "x"}),
            "the path": _get(f"/{long}"),
            "many headers": _get("/", **{f"x{i}": "y" * 20 for i in range(1000)}),
        }[where]
    )
    said = _all(connection)
    assert said.startswith(b"HTTP/1.1 400 "), said[:80]
    assert _TOO_LONG in said.decode()


@pytest.mark.parametrize("begin", [b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\nx: ", b"\r\n"])
def test_a_head_that_never_ends_is_cut_off(connection: socket.socket, begin: bytes) -> None:
    connection.sendall(begin)
    piece = b"\r\n" * 2048 if begin == b"\r\n" else b"y" * 4096
    assert _until_refused(connection, piece) < _SENT_BYTES


def test_a_head_that_comes_byte_by_byte_is_read(connection: socket.socket) -> None:
    for byte in _get("/slow", x="y"):
        connection.sendall(bytes([byte]))
        time.sleep(0.001)  # so that each comes by itself
    assert _answers(connection, 1) == [{"path": "/slow", "headers": 2, "body": None}]


def test_a_body_counts_not_as_a_head_nor_does_the_next_request(connection: socket.socket) -> None:
    body = b"z" * (3 * HEAD_BYTES)
    head = f"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    connection.sendall(head + body + _get("/next"))
    first, second = _answers(connection, 2)
    assert first["body"] == body.decode()
    assert second["path"] == "/next"


def test_behind_a_chunked_body_nothing_is_read(connection: socket.socket) -> None:
    connection.sendall(b"POST /chunked HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection.sendall(b"3\r\nabc\r\n0\r\nx: ")
    assert _until_refused(connection, b"y" * 4096) < _SENT_BYTES
    said = _all(connection)
    assert said.count(b"HTTP/1.1 ") <= 1


def test_a_chunked_body_is_none_to_who_reads_it(connection: socket.socket) -> None:
    connection.sendall(
        b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    said = _all(connection)
    assert said.startswith(b"HTTP/1.1 200 ")
    assert b'"body":""' in said


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nbad header: \x00\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused(connection: socket.socket, sent: bytes) -> None:
    connection.sendall(sent)
    assert _all(connection).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("upgrade", ["h2c", "websocket"])
def test_an_offer_to_upgrade_is_not_taken(connection: socket.socket, upgrade: str) -> None:
    connection.sendall(_get("/up", Connection="Upgrade", Upgrade=upgrade))
    assert _answers(connection, 1)[0]["path"] == "/up"
