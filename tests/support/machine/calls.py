"""Calls in this process, and what may befall them between their transactions.

A call may be frozen before any of its transactions while others go on, and killed there; its
connection may be cut before a transaction, or behind its commit. What runs inside a transaction
needs no such points: it happens or it does not.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from enum import StrEnum
from queue import SimpleQueue
from typing import Any

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker
from starlette.types import ASGIApp, Message

WITHIN_S = 60.0
_ENDED, _FROZEN = True, False


class Fault(StrEnum):
    """What befalls a call at one of its transactions."""

    FREEZE = "freeze"
    KILL = "kill"
    CUT_BEFORE = "cut before"
    CUT_AFTER = "cut after"


class KilledError(BaseException):
    """The process of the call has ended; nothing of it may catch this."""


class Course:
    """The fault of one call, at its n-th transaction from 1."""

    def __init__(self, fault: Fault, at: int) -> None:
        self.fault = fault
        self.met = False
        self.news: SimpleQueue[bool] = SimpleQueue()  # True: ended, False: frozen
        self._at = at
        self._count = 0
        self._go = threading.Event()
        self._dead = False

    def begins(self) -> None:
        """A transaction is about to begin."""
        self._count += 1
        if self._count != self._at or self.fault is Fault.CUT_AFTER:
            return
        self.met = True
        if self.fault is Fault.CUT_BEFORE:
            raise _cut()
        if self.fault is Fault.FREEZE:
            self.news.put(_FROZEN)
            self._go.wait()
        if self.fault is Fault.KILL or self._dead:
            raise KilledError

    def committed(self) -> None:
        """A transaction is committed."""
        if self._count == self._at and self.fault is Fault.CUT_AFTER:
            self.met = True
            raise _cut()

    def thaw(self, *, dead: bool = False) -> None:
        """Let a frozen call go on, or find that it was killed."""
        self._dead = dead
        self._go.set()


def _cut() -> OperationalError:
    return OperationalError("COMMIT", {}, ConnectionError("the connection was cut"))


_COURSE: ContextVar[Course | None] = ContextVar("course", default=None)


class Sessions(sessionmaker[Session]):
    """Sessions whose transactions meet the faults of the call that they belong to."""

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A transaction."""
        course = _COURSE.get()
        if course is not None:
            course.begins()
        with super().begin() as session:
            yield session
        if course is not None:
            course.committed()


class Running:
    """A call with a course; it ends, or stands frozen."""

    def __init__(self, start: Callable[[], "Future[Any]"], course: Course) -> None:
        self.course = course
        self._future: Future[Any] = copy_context().run(self._started, start)

    def _started(self, start: Callable[[], "Future[Any]"]) -> "Future[Any]":
        _COURSE.set(self.course)
        future = start()
        future.add_done_callback(lambda _: self.course.news.put(_ENDED))
        return future

    def ended(self) -> bool:
        """Wait until it has ended (True), or is frozen."""
        return self.course.news.get(timeout=WITHIN_S)

    def result(self) -> Any:
        """What an ended call returned. Raises what it raised."""
        return self._future.result(timeout=WITHIN_S)


_THREADS = ThreadPoolExecutor(max_workers=16, thread_name_prefix="call")


def in_thread(work: Callable[[], Any]) -> "Future[Any]":
    """Start the work in a thread, with the caller's context."""
    return _THREADS.submit(copy_context().run, work)


@dataclass(frozen=True)
class Answer:
    """The answer to a request."""

    status: int
    body: Any

    @property
    def code(self) -> str:
        """The problem's code, or nothing."""
        return str(self.body.get("code", "")) if isinstance(self.body, dict) else ""


class Server:
    """The app, called without sockets; its loop runs in a thread."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._loop.run_until_complete(self._end.wait())

    def stop(self) -> None:
        """End the loop."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self._loop.close()

    def start(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> "Future[Answer]":
        """Begin a request."""
        call = self._call(method, path, headers, body)
        return asyncio.run_coroutine_threadsafe(call, self._loop)

    async def _call(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        route, _, query = path.partition("?")
        given = {"content-length": str(len(body)), **headers}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": route,
            "raw_path": route.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(k.lower().encode(), v.encode()) for k, v in given.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        await self._app(scope, receive, send)
        content = b"".join(m.get("body", b"") for m in sent[1:])
        return Answer(sent[0]["status"], json.loads(content) if content else None)
