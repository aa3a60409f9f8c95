"""One reading for all who ask the same, and never less than what was there when they asked."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from server.together import _HOLDS_S, Together

pytestmark = pytest.mark.unit
JOB = "/v1/jobs/j"
KEY = (b"authorization", b"Bearer a")


@dataclass
class Slow:
    """An app that answers with the number of its reading once it is let."""

    begun: list[str] = field(default_factory=list)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    failing: bool = False
    status: int = 200
    committed: str | None = None  # nobody can say

    def snapshot(self) -> str | None:
        return self.committed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert await receive() == {"type": "http.request", "body": b"", "more_body": False}
        self.begun.append(scope["path"])
        number = len(self.begun)
        await self.may_end.wait()
        if self.failing:
            raise RuntimeError("the app is broken")
        scope["route"] = "the route"
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": str(number).encode()})


async def received() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def ask(
    together: Together,
    path: str = JOB,
    query: bytes = b"",
    headers: tuple[tuple[bytes, bytes], ...] = (KEY,),
    method: str = "GET",
) -> str:
    """What the app answered."""
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query,
        "headers": list(headers),
    }
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await together(scope, received, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert scope["route"] == "the route"
    sent[0]["headers"] = []  # one's own, not the others'
    body: bytes = sent[1]["body"]
    return body.decode()


async def settled() -> None:
    """All that can be done before the app may end has been done, in threads too."""
    await asyncio.sleep(0.02)


async def crowd(together: Together, n: int = 3) -> list[str]:
    """Some who ask while another's reading runs; what all of them are answered."""
    return await asyncio.gather(*[ask(together) for _ in range(n)])


def run(scenario: Callable[[Slow, Together], Coroutine[Any, Any, None]]) -> None:
    """The scenario, behind which nothing is left."""

    async def whole() -> None:
        app = Slow()
        together = Together(app, app.snapshot)
        await scenario(app, together)
        await asyncio.sleep(2 * _HOLDS_S)
        assert (together._begun, together._to_begin, together._known) == ({}, {}, {})

    asyncio.run(whole())


def test_who_asks_while_a_reading_runs_gets_the_next_one_together() -> None:
    async def scenario(app: Slow, together: Together) -> None:
        first = asyncio.create_task(ask(together))
        await settled()
        later = [asyncio.create_task(ask(together)) for _ in range(5)]
        await settled()
        assert len(app.begun) == 1
        app.may_end.set()
        assert [await first, *await asyncio.gather(*later)] == ["1", *["2"] * 5]

    run(scenario)


@pytest.mark.parametrize(
    ("path", "query", "headers"),
    [
        (f"{JOB}/rounds/1", b"", (KEY,)),
        (JOB, b"a=1", (KEY,)),
        (JOB, b"", ((b"authorization", b"Bearer b"),)),
        (JOB, b"", (KEY, (b"cookie", b"a=b"))),
        (JOB, b"", ()),
    ],
)
def test_what_differs_is_read_apart(
    path: str, query: bytes, headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    async def scenario(app: Slow, together: Together) -> None:
        wishes = ((JOB, b"", (KEY,)), (path, query, headers))
        both = [asyncio.create_task(ask(together, *wish)) for wish in wishes]
        await settled()
        assert len(app.begun) == 2
        app.may_end.set()
        assert await asyncio.gather(*both) == ["1", "2"]

    run(scenario)


def test_what_is_known_already_is_each_one_s_own() -> None:
    async def scenario(app: Slow, together: Together) -> None:
        known = (KEY, (b"if-none-match", b'"tag"'))
        both = [asyncio.create_task(ask(together, headers=each)) for each in ((KEY,), known)]
        app.may_end.set()
        assert await asyncio.gather(*both) == ["1", "1"]

    run(scenario)


@pytest.mark.parametrize(
    ("path", "query", "method"),
    [
        (JOB, b"wait=30", "GET"),
        (JOB, b"after=1&wait=0", "GET"),
        (JOB, b"", "HEAD"),
        (JOB, b"", "POST"),
        (f"{JOB}/events/stream", b"", "GET"),
        (f"{JOB}/report", b"", "GET"),
        ("/v1/clients", b"", "GET"),
    ],
)
def test_what_waits_streams_or_changes_something_is_passed_on(
    path: str, query: bytes, method: str
) -> None:
    async def scenario(app: Slow, together: Together) -> None:
        both = [asyncio.create_task(ask(together, path, query, method=method)) for _ in range(2)]
        await settled()
        assert len(app.begun) == 2
        app.may_end.set()
        await asyncio.gather(*both)

    run(scenario)


def test_who_leaves_takes_nothing_away_from_the_others() -> None:
    async def scenario(app: Slow, together: Together) -> None:
        leaving, staying = (asyncio.create_task(ask(together)) for _ in range(2))
        await settled()
        leaving.cancel()
        await settled()
        assert leaving.cancelled()
        app.may_end.set()
        assert await staying == "1"

    run(scenario)


def test_an_error_reaches_all_who_asked_and_the_next_reading_begins() -> None:
    async def scenario(app: Slow, together: Together) -> None:
        app.failing = True
        first = [asyncio.create_task(ask(together)) for _ in range(2)]
        await settled()
        later = asyncio.create_task(ask(together))
        await settled()
        app.may_end.set()
        found = await asyncio.gather(*first, later, return_exceptions=True)
        assert [str(each) for each in found] == ["the app is broken"] * 3
        assert len(app.begun) == 2
        app.failing = False
        assert await ask(together) == "3"

    run(scenario)


def test_where_nothing_was_committed_since_the_last_answer_holds_for_a_while() -> None:
    async def scenario(app: Slow, together: Together) -> None:
        app.committed = "10:10:"
        first = asyncio.create_task(ask(together))
        await settled()  # it asks alone: nobody is asked what was committed
        later = asyncio.create_task(crowd(together))
        await settled()
        app.may_end.set()
        assert [await first, *await later] == ["1", "2", "2", "2"]
        assert await ask(together) == "2"
        assert await ask(together) == "2"
        app.committed = "10:11:"
        assert await ask(together) == "3"
        app.committed = None
        assert await ask(together) == "4", "Postgres is away: it is for the app to say"
        app.committed = "10:11:"
        assert await ask(together) == "3"
        await asyncio.sleep(2 * _HOLDS_S)
        assert await ask(together) == "5", "some of it goes by the clock"

    run(scenario)


def test_what_was_committed_while_it_was_read_does_not_count_as_read() -> None:
    async def scenario(app: Slow, together: Together) -> None:
        app.committed = "before"
        first = asyncio.create_task(ask(together))
        await settled()
        second = asyncio.create_task(ask(together))
        await settled()
        app.may_end.set()
        assert await first == "1"
        app.may_end.clear()
        await settled()
        assert len(app.begun) == 2
        app.committed = "after"
        app.may_end.set()
        assert await second == "2"
        assert await ask(together) == "3"

    run(scenario)


def test_a_problem_is_never_kept() -> None:
    async def scenario(app: Slow, together: Together) -> None:
        app.may_end.set()
        app.committed, app.status = "10:10:", 404
        both = [asyncio.create_task(ask(together)) for _ in range(2)]
        await asyncio.gather(*both)
        found = [await crowd(together), await crowd(together)]
        assert found[0] != found[1]

    run(scenario)
