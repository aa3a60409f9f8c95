"""Events as the typed client hears them: over breaks, each once, and never something else."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from shared import event_stream
from shared.api_client import ApiClient
from shared.event_stream import events
from shared.transport import ApiError
from shared.views import EventView

pytestmark = pytest.mark.unit
JOB = UUID(int=7)
TYPE = {"Content-Type": "text/event-stream; charset=utf-8"}


def event(number: int, **data: Any) -> dict[str, Any]:
    at = "2026-01-31T12:00:00Z"
    return {"id": number, "at": at, "kind": "job.running", "job_id": str(JOB), "data": data}


def frame(number: int, known: int | None = None) -> str:
    resume = number if known is None else known
    return f"id: {resume}\ndata: {json.dumps(event(number))}\n\n"


class Broken(httpx.SyncByteStream):
    """A body that breaks off behind these bytes."""

    def __init__(self, *texts: str) -> None:
        self._texts = texts

    def __iter__(self) -> Iterator[bytes]:
        yield from (text.encode() for text in self._texts)
        raise httpx.ReadError("gone")


Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited before a connection was made anew."""
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)
    return found


def api_of(*answers: Answer | httpx.Response) -> tuple[ApiClient, list[httpx.Request]]:
    """A client that gets these answers one after the other, and what it asked for."""
    asked: list[httpx.Request] = []
    coming = iter(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        found = next(coming)
        return found if isinstance(found, httpx.Response) else found(request)

    api = ApiClient("http://there", "key", patience_s=0)
    api._http.close()
    api._http = httpx.Client(base_url=api.url, transport=httpx.MockTransport(answer))
    return api, asked


def stream(*texts: str) -> httpx.Response:
    return httpx.Response(200, headers=TYPE, stream=Broken(*texts))


def test_a_break_loses_and_repeats_nothing() -> None:
    api, asked = api_of(stream(frame(3), frame(4)[:30]), stream(frame(4), frame(5)))
    with api, api.follow(JOB, after=2) as heard:
        assert [next(heard).id for _ in range(3)] == [3, 4, 5]
        assert heard.known == 5
    assert [request.headers["Last-Event-ID"] for request in asked] == ["2", "3"]
    assert {request.url.path for request in asked} == {f"/v1/jobs/{JOB}/events"}


def test_what_all_hear_again_is_told_once() -> None:
    first = stream(frame(7, known=4), frame(6, known=4))
    second = stream(frame(6, known=4), frame(7, known=4), frame(9, known=7), frame(8, known=7))
    api, asked = api_of(first, second)
    with api, api.follow_all(after=4) as heard:
        assert [next(heard).id for _ in range(4)] == [7, 6, 9, 8]
        assert heard.known == 7
    assert [request.headers["Last-Event-ID"] for request in asked] == ["4", "4"]


def test_where_streams_are_held_back_the_list_is_asked(waits: list[float]) -> None:
    def listed(*numbers: int, following: str | None = None) -> httpx.Response:
        items = [event(number) for number in numbers]
        return httpx.Response(200, json={"items": items, "next": following})

    api, asked = api_of(stream(), listed(3, 4, following="x"), listed(5), stream(frame(6)))
    with api, api.follow(JOB, after=2) as heard:
        assert [next(heard).id for _ in range(4)] == [3, 4, 5, 6]
    params = [request.url.params for request in asked]
    assert [each.get("after") for each in params] == [None, "2", "2", None]
    assert [each.get("cursor") for each in params] == [None, None, "x", None]
    assert asked[-1].headers["Last-Event-ID"] == "5"
    assert waits == [event_stream._PAUSE_S]


def test_where_streams_of_all_are_held_back_only_what_is_young_is_asked_for_again() -> None:
    def listed(*numbers: int) -> httpx.Response:
        items = [{**event(each), "at": f"2026-11-30T10:{each:02}:00Z"} for each in numbers]
        return httpx.Response(200, json={"items": items, "next": None})

    api, asked = api_of(stream(), listed(3, 4, 5, 6), stream(), listed(5, 6, 7), stream(frame(9)))
    with api, api.follow_all(after=2) as heard:
        assert [next(heard).id for _ in range(6)] == [3, 4, 5, 6, 7, 9]
    assert [request.url.params.get("after") for request in asked] == [None, "2", None, "4", None]


def test_an_api_that_is_away_is_said_and_asked_again() -> None:
    def away(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    api, asked = api_of(stream(frame(1)), away, stream(frame(2)))
    with api, api.follow(JOB) as heard:
        assert next(heard).id == 1
        with pytest.raises(ApiError, match="cannot be reached"):
            next(heard)
        assert next(heard).id == 2
    assert asked[-1].headers["Last-Event-ID"] == "1"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (httpx.Response(200, html="<p>"), "something else than events"),
        (httpx.Response(200, headers=TYPE, text="data: {}\n\n"), "sends no events"),
        (httpx.Response(200, headers=TYPE, text="id: one\n\n"), "sends no events"),
        (httpx.Response(502, html="<p>"), "answered 502 without a reason"),
    ],
)
def test_something_else_is_one_sentence(answer: httpx.Response, says: str) -> None:
    api, _ = api_of(answer)
    with api, api.follow(JOB) as heard, pytest.raises(ApiError, match=says):
        next(heard)


def test_lines_end_where_the_server_ends_them() -> None:
    said = EventView.model_validate(event(1, why="a\u2028b\x85c"))
    text = f": alive\r\n\nid: 1\ndata: {said.model_dump_json()}\n\n"
    for cut in range(len(text)):
        assert list(events([text[:cut], text[cut:]], "there")) == [(1, said)]
