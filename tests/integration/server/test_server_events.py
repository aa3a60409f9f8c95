"""Events as lists and as streams, and answers that wait for the next one."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from server.events import repository, streaming
from server.events.feed import Feed
from server.lifecycle import record
from shared.views import EventView
from tests.support.patience import wait_for
from tests.support.scripted import World
from tests.support.serving import served

pytestmark = pytest.mark.integration
STREAM = {"Accept": "text/event-stream"}
SOON_S = 20.0  # on a busy machine; what it takes is measured in bench/


@pytest.fixture
def address(pair: World) -> Iterator[str]:
    """For what goes on forever cannot be asked of a test client."""
    with served(pair.http.app, lifespan="off") as found:
        yield found


class Reader:
    """Somebody who reads a stream."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.resume = ""

    def next(self) -> dict[str, Any]:
        """The next event; keeps where it would go on."""
        for line in self._lines:
            name, _, value = line.partition(": ")
            if name == "id":
                self.resume = value
            if name == "data":
                found: dict[str, Any] = json.loads(value)
                return found
        raise AssertionError("the stream has ended")

    def until(self, kind: str) -> dict[str, Any]:
        """The next event of the kind."""
        while (found := self.next())["kind"] != kind:
            pass
        return found


@contextmanager
def reading(world: World, address: str, path: str, **headers: str) -> Iterator[Reader]:
    key = {"Authorization": f"Bearer {world.viewer.key}"}
    timeout = httpx.Timeout(SOON_S)
    with httpx.stream(
        "GET", address + path, headers={**STREAM, **key, **headers}, timeout=timeout
    ) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-accel-buffering"] == "no"
        yield Reader(answer.iter_lines())


def listed(world: World, path: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = world.viewer.ok("GET", path)["items"]
    return items


def test_a_stream_begins_with_what_was_and_goes_on_with_what_comes(
    pair: World, address: str
) -> None:
    job = pair.launch()
    known = listed(pair, f"/v1/jobs/{job}/events")
    with reading(pair, address, f"/v1/jobs/{job}/events") as reader:
        assert [reader.next() for _ in known] == known
        other = pair.launch(name="another")
        pair.operator.ok("POST", f"/v1/jobs/{job}/pause")
        found = reader.next()
        assert found["kind"] == "job.paused", "and nothing of the other job"
        assert reader.resume == str(found["id"])
    assert found in listed(pair, f"/v1/jobs/{job}/events?after={known[-1]['id']}")
    pair.operator.ok("POST", f"/v1/jobs/{job}/resume")
    with reading(
        pair, address, f"/v1/jobs/{job}/events", **{"Last-Event-ID": reader.resume}
    ) as again:
        assert again.next()["id"] > found["id"]
    assert other != job


def test_the_stream_of_all_loses_nothing_that_is_committed_late(pair: World, address: str) -> None:
    with pair.context.sessions() as late, reading(pair, address, "/v1/events") as reader:
        known = [reader.next() for _ in listed(pair, "/v1/events")]
        record(late, "test.late", None, {})
        late.flush()
        job = pair.launch()
        submitted = reader.until("job.submitted")
        assert submitted["job_id"] == job
        resume = int(reader.resume or 0)
        late.commit()
        found = reader.until("test.late")
        assert found["id"] < submitted["id"]
        assert resume < found["id"], "who comes again in between hears it, too"
        assert found not in known
    with reading(pair, address, "/v1/events", **{"Last-Event-ID": str(resume)}) as again:
        assert again.until("test.late") == found


def test_who_breaks_off_between_two_events_of_all_has_the_second_before_it(pair: World) -> None:
    feed = SimpleNamespace(settled=10**9)
    pair.launch()
    pair.launch(name="another")
    source = streaming.OfAll(pair.context.sessions, cast("Feed", feed), repository.Wanted())
    *before, last = [resume for resume, _ in source.more()]
    assert set(before) == {0}
    assert last == 10**9


def test_a_reader_far_behind_has_all_a_batch_at_a_time(
    pair: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_AT_ONCE", 3)
    pair.trained()
    everything = [each["id"] for each in listed(pair, "/v1/events")]
    assert len(everything) > 6
    left_out: list[int] = []

    def ask(session: Session, wanted: repository.Wanted, limit: int) -> list[EventView]:
        left_out.append(len(wanted.without))
        return events_of(session, wanted, limit)

    events_of = repository.listed
    monkeypatch.setattr(repository, "listed", ask)
    feed = SimpleNamespace(settled=everything[-2])
    source = streaming.OfAll(pair.context.sessions, cast("Feed", feed), repository.Wanted())
    heard: list[int] = []
    while found := source.more():
        heard += [event.id for _, event in found]
        assert found[-1][0] == min(heard[-1], everything[-2]), "who breaks off goes on from here"
    assert heard == everything
    assert max(left_out) <= 3, "a query names no more than the newest, however many were told"


def test_what_all_have_seen_is_not_sent_again(pair: World, address: str) -> None:
    pair.launch()
    everything = listed(pair, "/v1/events")
    with reading(pair, address, f"/v1/events?after={everything[-1]['id']}") as reader:
        pair.launch(name="another")
        assert reader.next()["id"] > everything[-1]["id"]


@pytest.mark.parametrize(
    ("asked", "kinds"),
    [
        (["job"], ["job.submitted", "job.planning", "job.running"]),
        (["job.running"], ["job.running"]),
        (
            ["job.submitted", "round"],
            ["job.submitted", "round.open", "round.aggregating", "round.published", "round.open"],
        ),
        (["jo"], []),
    ],
)
def test_events_are_chosen_by_kind(
    pair: World, address: str, asked: list[str], kinds: list[str]
) -> None:
    job = pair.trained()
    path = f"/v1/jobs/{job}/events?" + "&".join(f"kind={each}" for each in asked)
    found = listed(pair, path)
    assert [each["kind"] for each in found] == kinds
    ours = [each for each in listed(pair, path.replace(f"jobs/{job}/", "")) if each["job_id"]]
    assert ours == found
    for one in (path, path.replace(f"jobs/{job}/", "")) if found else ():
        with reading(pair, address, one) as reader:
            assert [reader.next()["kind"] for _ in found] == kinds


def test_a_stream_of_some_kinds_goes_on_behind_others(pair: World, address: str) -> None:
    job = pair.launch()
    with reading(pair, address, f"/v1/jobs/{job}/events?kind=job.paused") as reader:
        pair.operator.ok("POST", f"/v1/jobs/{job}/pause")
        assert reader.next()["kind"] == "job.paused"
        pair.operator.ok("POST", f"/v1/jobs/{job}/resume")
        pair.operator.ok("POST", f"/v1/jobs/{job}/pause")
        assert reader.next()["kind"] == "job.paused"


@pytest.mark.parametrize("asked", ["sort=-id", "cursor=x", "kind=", "kind=a.b.c", "kind=%00"])
def test_what_a_stream_cannot_do_is_refused(pair: World, asked: str) -> None:
    for path in (f"/v1/jobs/{pair.launch()}/events", "/v1/events"):
        answer = pair.viewer("GET", f"{path}?{asked}", headers=STREAM)
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"]


def test_a_stream_outlasts_an_absence_of_postgres(
    pair: World, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = pair.launch()
    away, ask = threading.Event(), repository.listed
    away.set()

    def sometimes(session: Session, *given: Any) -> Any:
        if away.is_set():
            raise OperationalError("select", {}, Exception("away"))
        return ask(session, *given)

    monkeypatch.setattr(repository, "listed", sometimes)
    with reading(pair, address, f"/v1/jobs/{job}/events") as reader:
        away.clear()
        assert reader.next()["kind"] == "job.submitted"


def test_a_silent_stream_shows_that_it_lives_and_ends_for_a_new_look_at_the_key(
    pair: World, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "ALIVE_S", 0.01)
    monkeypatch.setattr(streaming, "LASTS_S", 1.0)
    job = pair.launch()
    key = {"Authorization": f"Bearer {pair.viewer.key}"}
    answer = httpx.get(f"{address}/v1/jobs/{job}/events", headers={**STREAM, **key}, timeout=SOON_S)
    lines = answer.text.splitlines()
    assert lines[0] == "retry: 1000"
    assert ": alive" in lines


def test_an_answer_waits_for_what_happens_next(pair: World) -> None:
    job = pair.launch()
    known = pair.job(job)["last_event"]
    assert known == listed(pair, f"/v1/jobs/{job}/events")[-1]["id"]
    paths = (f"/v1/jobs/{job}", f"/v1/jobs/{job}/rounds")
    with ThreadPoolExecutor(4) as pool:
        asked = [
            pool.submit(pair.viewer.ok, "GET", f"{path}?wait=60{after}")
            for path in paths
            for after in (f"&after={known}", "")
        ]
        time.sleep(0.5)  # so that those who ask for the next one have asked
        assert not any(each.done() for each in asked)
        pair.operator.ok("POST", f"/v1/jobs/{job}/pause")
        answers = [each.result(SOON_S) for each in asked]
    assert all(answer["last_event"] > known for answer in answers)
    assert {answer["state"] for answer in answers[:2]} == {"paused"}


def test_who_waits_hears_of_events_also_after_a_fault_of_the_feed(
    pair: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job = pair.launch()
    known, faults, ask = pair.job(job)["last_event"], [ValueError("a fault")], repository.newest

    def newest(*given: Any) -> Any:
        if faults:
            raise faults.pop()
        return ask(*given)

    monkeypatch.setattr(repository, "newest", newest)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(pair.viewer.ok, "GET", f"/v1/jobs/{job}?wait=60&after={known}")
        wait_for(lambda: not faults, SOON_S)
        pair.operator.ok("POST", f"/v1/jobs/{job}/pause")
        assert asked.result(SOON_S)["state"] == "paused"
    assert "the feed could not ask for events" in caplog.text


def test_an_answer_does_not_wait_for_what_has_happened_or_never_will(pair: World) -> None:
    job = pair.trained()
    pair.advance(job)
    began = time.monotonic()
    assert pair.viewer.ok("GET", f"/v1/jobs/{job}/rounds/1?wait=60&after=0")["number"] == 1
    assert pair.viewer("GET", f"/v1/jobs/{uuid4()}?wait=60&after=0").status_code == 404
    assert pair.viewer("GET", f"/v1/jobs/{uuid4()}/rounds?wait=60").status_code == 404
    assert time.monotonic() - began < 60
    known = pair.job(job)["last_event"]
    waited = pair.viewer.ok("GET", f"/v1/jobs/{job}?wait=0.3&after={known}")
    assert waited["last_event"] == known


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/events?after=-1", {}),
        ("/v1/events?limit=0", {}),
        ("/v1/events", {"Last-Event-ID": "yesterday"}),
        ("/v1/jobs/{job}?wait=61", {}),
        ("/v1/jobs/{job}?wait=nan&after=1", {}),
        ("/v1/jobs/{job}/rounds?wait=1&after=9e99", {}),
    ],
)
def test_a_wrong_wish_is_a_problem_that_names_the_field(
    pair: World, path: str, headers: dict[str, str]
) -> None:
    answer = pair.viewer("GET", path.format(job=pair.launch()), headers={**STREAM, **headers})
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid"


def test_clients_may_follow_neither(pair: World) -> None:
    job = pair.launch()
    for path in ("/v1/events", f"/v1/jobs/{job}/events", f"/v1/jobs/{job}?wait=60"):
        assert pair.clients["c1"]("GET", path, headers=STREAM).status_code == 403
