"""The fault proxy does to a connection what its faults say, and nothing without one."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.chaos.proxy import ANSWERS, REQUESTS, Link, Proxy

pytestmark = pytest.mark.integration


@dataclass
class Echo:
    """A server that answers every line with `done LINE`, and what it has read."""

    listening: socket.socket
    read: list[bytes]

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rwb") as file:
                for line in file:
                    self.read.append(line)
                    file.write(b"done " + line)
                    file.flush()
        except OSError:
            return


@pytest.fixture
def echo() -> Iterator[Echo]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Echo(listening, [])
        threading.Thread(target=server.serve, daemon=True).start()
        yield server
        listening.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    made = Proxy()
    yield made
    made.close()


@pytest.fixture
def link(echo: Echo, proxy: Proxy) -> Link:
    return proxy.link("a link", echo.listening.getsockname()[1])


@pytest.fixture
def wire(link: Link) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", link.port), timeout=5) as connection:
        connection.sendall(b"hello\n")
        assert connection.recv(100) == b"done hello\n"
        yield connection


def silent(wire: socket.socket) -> bool:
    wire.settimeout(0.2)
    try:
        return wire.recv(100) == b"never"
    except TimeoutError:
        return True
    finally:
        wire.settimeout(5)


def is_cut(wire: socket.socket) -> bool:
    try:
        return wire.recv(100) == b""
    except ConnectionError:
        return True


def test_connections_are_cut(proxy: Proxy, link: Link, wire: socket.socket) -> None:
    assert proxy.cut(link) == 1
    assert is_cut(wire)


def test_what_is_held_arrives_late(
    proxy: Proxy, link: Link, wire: socket.socket, echo: Echo
) -> None:
    proxy.hold(link, REQUESTS, ANSWERS)
    wire.sendall(b"late\n")
    assert silent(wire)
    assert echo.read == [b"hello\n"]
    proxy.hold(link)
    assert wire.recv(100) == b"done late\n"


def test_one_way_requests_are_done_and_answers_lost(
    proxy: Proxy, link: Link, wire: socket.socket, echo: Echo
) -> None:
    proxy.hold(link, ANSWERS)
    wire.sendall(b"deaf\n")
    assert silent(wire)
    assert echo.read == [b"hello\n", b"deaf\n"]
    proxy.cut(link)
    proxy.hold(link)
    assert is_cut(wire)


def test_a_body_is_torn_at_a_byte(link: Link, wire: socket.socket, echo: Echo) -> None:
    link.tear_after = 3
    wire.sendall(b"abcdef\n")
    assert is_cut(wire)
    assert link.hits == 1
    assert echo.read[1:] in ([], [b"abc"])


def test_a_commit_of_something_written_is_done_and_never_heard_of(
    link: Link, wire: socket.socket, echo: Echo
) -> None:
    commit = b"Q\0\0\0\x0bCOMMIT\0"
    link.cut_commit = True
    wire.sendall(b"\n" + commit)
    assert wire.recv(100) == b"done \n", "a commit of nothing is let through"
    wire.sendall(b"\nUPDATE \n")
    assert b"UPDATE" in wire.recv(100) + wire.recv(100)
    assert link.hits == 0
    wire.sendall(commit)
    wire.sendall(b"\n")
    assert is_cut(wire)
    assert link.hits == 1
    assert echo.read[-1].endswith(commit + b"\n")
