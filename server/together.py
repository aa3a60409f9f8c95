"""One reading for all who ask the same: what a crowd polls costs the database as if one did.

A request is answered by a reading that began after it came, or by an earlier one when Postgres says
that nothing was committed since: so nobody reads less than what was there when they asked.
"""

import asyncio
import re
from asyncio import Task
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import DATABASE_AWAY

# What is polled, and is small. Not what waits for events, nor what streams.
_SHARED = re.compile(r"/v1/jobs(?:/[^/]+(?:/(?:rounds(?:/[^/]+)?|waiting|versions))?)?")
_OWN_HEADERS = frozenset({b"if-none-match"})  # answered outside, each by its own
_HOLDS_S = 0.2  # answers say how long ago things were, too
_GATHERING_S = 0.003  # those of a crowd who were answered together ask again together
_OK = 200
Snapshot = Callable[[], str | None]


def snapshot(engine: Engine) -> Snapshot:
    """What names all that is committed: equal names, equal rows. None while Postgres is away.

    It is Postgres's own account of which transactions a statement sees (pg_current_snapshot).
    """
    plain = engine.execution_options(isolation_level="AUTOCOMMIT")

    def ask() -> str | None:
        try:
            with plain.connect() as connection:
                found = connection.exec_driver_sql("SELECT pg_current_snapshot()::text")
                return str(found.scalar_one())
        except DATABASE_AWAY:
            return None

    return ask


class Together:
    """ASGI middleware inside all that is each request's own, around keys, routes and sessions."""

    def __init__(self, app: ASGIApp, snapshot: Snapshot) -> None:
        self._app = app
        self._snapshot = snapshot
        self._begun: dict[Hashable, Task[_Answer]] = {}
        self._to_begin: dict[Hashable, Task[_Answer]] = {}
        self._known: dict[Hashable, _Answer] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from the next reading; pass on what is not shared."""
        if not _is_shared(scope):
            await self._app(scope, receive, send)
            return
        # Who leaves does not take the reading away from the others.
        answer = await asyncio.shield(self._next(_asked(scope), scope))
        if answer.route is not None:
            scope["route"] = answer.route
        for message in answer.messages:
            await send(dict(message))

    def _next(self, asked: Hashable, scope: Scope) -> "Task[_Answer]":
        task = self._to_begin.get(asked)
        if task is None:
            before = self._begun.get(asked)
            task = asyncio.create_task(self._turn(asked, dict(scope), before))
            task.add_done_callback(_is_heard)
            self._to_begin[asked] = task
        return task

    async def _turn(
        self, asked: Hashable, scope: Scope, before: "Task[_Answer] | None"
    ) -> "_Answer":
        if before is not None:
            await asyncio.wait([before])
        alone = before is None and asked not in self._known
        if not alone:
            await asyncio.sleep(_GATHERING_S)
        this = self._begun[asked] = self._to_begin.pop(asked)
        try:
            # Who asks alone is not made to ask twice.
            return await (self._read(scope) if alone else self._read_or_known(asked, scope))
        finally:
            if self._begun[asked] is this:
                del self._begun[asked]

    async def _read_or_known(self, asked: Hashable, scope: Scope) -> "_Answer":
        now = await run_in_threadpool(self._snapshot)
        known = self._known.get(asked)
        if known is not None and known.snapshot == now:
            return known
        answer = await self._read(scope)
        if now is not None and answer.status == _OK:
            answer.snapshot = now
            self._known[asked] = answer
            asyncio.get_running_loop().call_later(_HOLDS_S, self._forget, asked, answer)
        return answer

    async def _read(self, scope: Scope) -> "_Answer":
        answer = _Answer()
        await self._app(scope, _nothing, answer.take)
        answer.route = scope.get("route")
        return answer

    def _forget(self, asked: Hashable, answer: "_Answer") -> None:
        if self._known.get(asked) is answer:
            del self._known[asked]


@dataclass
class _Answer:
    """What the app sent, the route that did, and what was committed before it was asked."""

    messages: list[Message] = field(default_factory=list)
    route: object = None
    snapshot: str | None = None

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(self.messages[0]["status"])

    async def take(self, message: Message) -> None:
        self.messages.append(message)


async def _nothing() -> Message:
    """The body of a GET."""
    return {"type": "http.request", "body": b"", "more_body": False}


def _is_shared(scope: Scope) -> bool:
    return (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and b"wait" not in scope["query_string"]
        and _SHARED.fullmatch(scope["path"]) is not None
    )


def _asked(scope: Scope) -> Hashable:
    """What two requests have in common that get one answer: the key that they come with, too."""
    headers = tuple(tuple(each) for each in scope["headers"] if each[0] not in _OWN_HEADERS)
    return scope["path"], scope["query_string"], headers


def _is_heard(task: "Task[_Answer]") -> None:
    """An error that nobody waits for any more is not left behind unseen."""
    if not task.cancelled():
        task.exception()
