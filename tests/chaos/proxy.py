"""A fault proxy: TCP links that carry bytes, and are cut, held, delayed or torn when told to."""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cli.stack.ports import LOCALHOST

T = TypeVar("T")
_PIECE = 65536
_COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"  # Postgres's message of that query
_WROTE = (b"INSERT 0 ", b"UPDATE ")  # what its answers to writes begin with
REQUESTS, ANSWERS = "requests", "answers"


@dataclass(eq=False)
class Wire:
    """One connection: both ends, and whether it has written to a database since its last commit."""

    front: asyncio.StreamWriter
    back: asyncio.StreamWriter
    wrote: bool = False
    doomed: bool = False  # its answer is dropped, then it is cut

    def cut(self) -> None:
        """End both sides at once; what is under way is lost."""
        self.front.transport.abort()
        self.back.transport.abort()


@dataclass(eq=False)
class Link:
    """A port whose connections lead to another port."""

    name: str
    target: int
    port: int = 0
    delay_s: float = 0.0
    tear_after: int | None = None  # bytes of requests that still pass
    cut_commit: bool = False
    fault: str = ""  # what is being done to it now
    hits: int = 0  # connections that a tear or a lost commit has ended
    wires: set[Wire] = field(default_factory=set)
    held: dict[str, bool] = field(default_factory=lambda: {REQUESTS: False, ANSWERS: False})
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to its end."""
        try:
            back_reader, back_writer = await asyncio.open_connection(LOCALHOST, self.target)
        except OSError:
            writer.transport.abort()
            return
        wire = Wire(writer, back_writer)
        self.wires.add(wire)
        ways = (
            self._carry(reader, back_writer, wire, REQUESTS),
            self._carry(back_reader, writer, wire, ANSWERS),
        )
        try:
            await asyncio.gather(*ways)
        except (OSError, EOFError):
            pass
        finally:
            self.wires.discard(wire)
            wire.cut()

    async def _carry(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, wire: Wire, way: str
    ) -> None:
        while data := await source.read(_PIECE):
            async with self.changed:
                await self.changed.wait_for(lambda: not self.held[way])
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            if way == REQUESTS:
                data = self._torn(data)
            self._watch_commits(data, wire, way)
            if not wire.doomed or way == REQUESTS:
                target.write(data)
                await target.drain()
            if self.tear_after == 0 or (wire.doomed and way == ANSWERS):
                self.tear_after = None
                self.hits += 1
                raise EOFError
        with suppress(OSError, RuntimeError):
            target.write_eof()

    def _torn(self, data: bytes) -> bytes:
        limit = self.tear_after
        if limit is not None:
            self.tear_after = max(limit - len(data), 0)
        return data[:limit]

    def _watch_commits(self, data: bytes, wire: Wire, way: str) -> None:
        """Doom the wire when it commits what it wrote: its client never hears of the commit."""
        if way == ANSWERS:
            wire.wrote = wire.wrote or any(tag in data for tag in _WROTE)
        elif data.endswith(_COMMIT):
            if self.cut_commit and wire.wrote:
                self.cut_commit, wire.doomed = False, True
            wire.wrote = False


class Proxy:
    """Links in a thread of their own. A context manager."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._servers: list[asyncio.Server] = []
        self._links: list[Link] = []
        self._thread.start()

    def link(self, name: str, target: int) -> Link:
        """A new link to a port."""

        async def listen() -> Link:
            link = Link(name, target)
            server = await asyncio.start_server(link.serve, LOCALHOST, 0)
            self._servers.append(server)
            self._links.append(link)
            link.port = server.sockets[0].getsockname()[1]
            return link

        return self._do(listen())

    def hold(self, link: Link, *ways: str) -> int:
        """Hold these ways, and let the others pass; returns how many connections there are."""

        async def change() -> int:
            async with link.changed:
                link.held = {way: way in ways for way in link.held}
                link.changed.notify_all()
            return len(link.wires)

        return self._do(change())

    def cut(self, link: Link) -> int:
        """Cut all connections; returns how many."""

        async def change() -> int:
            wires = list(link.wires)
            for wire in wires:
                wire.cut()
            return len(wires)

        return self._do(change())

    def close(self) -> None:
        """Close all links."""

        async def end() -> None:
            for server in self._servers:
                server.close()
            while others := asyncio.all_tasks() - {asyncio.current_task()}:
                for link in self._links:
                    await _end(link)
                await asyncio.wait(others, timeout=0.1)

        self._do(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


async def _end(link: Link) -> None:
    """Let all that is held go, and cut it."""
    for wire in link.wires:
        wire.cut()
    async with link.changed:
        link.held = dict.fromkeys(link.held, False)
        link.changed.notify_all()
