"""What the server's processes write: each line says what it is about, and none holds a secret."""

import json
import logging
import re
from collections.abc import Iterator
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from server.watching.requests import REQUEST_HEADER
from shared.logs import JsonLines
from tests.support.scripted import Caller, World

pytestmark = pytest.mark.integration


class Written(logging.Handler):
    """The JSON lines of this process."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(JsonLines("api"))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    def read(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.lines]


@pytest.fixture
def written() -> Iterator[Written]:
    """What is logged, whatever its level."""
    handler, root = Written(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.setLevel(level)
    root.removeHandler(handler)


def test_each_line_about_an_assignment_says_which(pair: World, written: Written) -> None:
    job = pair.launch()
    pair.plan(job)
    claim = pair.train("c1", 1.0)
    told = [line for line in written.read() if line["logger"] == "server.lifecycle"]
    assert {line["job"] for line in told} == {job}
    about = [line for line in told if line.get("assignment") == claim["assignment_id"]]
    kinds = [line["message"] for line in about]
    assert kinds == ["assignment.queued", "assignment.leased", "assignment.accepted"]
    assert {(line["round"], line["client"], line["kind"]) for line in about} == {(1, "c1", "train")}
    assert [line["attempt"] for line in about] == [0, 1, 1]
    assert "request" not in about[0]  # the coordinator opened the round
    assert all("request" in line for line in about[1:])


def test_what_is_not_committed_is_not_told(pair: World, written: Written) -> None:
    job = pair.launch()
    pair.plan(job)
    claim = pair.clients["c1"].claim()
    assert claim is not None
    written.lines.clear()
    refused = pair.clients["c1"].report(claim, "result", kind="evaluate", scores={})
    assert refused.status_code == 422
    told = [line for line in written.read() if line["logger"] == "server.lifecycle"]
    assert told == []


def test_a_refused_request_has_a_name_and_a_line(pair: World, written: Written) -> None:
    job = str(uuid4())
    answer = pair.viewer("GET", f"/v1/jobs/{job}", headers={REQUEST_HEADER: "mine-12345"})
    assert (answer.status_code, answer.headers[REQUEST_HEADER]) == (404, "mine-12345")
    [line] = [line for line in written.read() if line["logger"] == "server.watching.requests"]
    assert (line["request"], line["job"], line["status"]) == ("mine-12345", job, 404)
    assert line["route"] == "/v1/jobs/{job_id}"
    given = pair.viewer("GET", "/v1/jobs", headers={REQUEST_HEADER: "no good\tname"})
    assert re.fullmatch("[0-9a-f]{16}", given.headers[REQUEST_HEADER])
    assert pair.http.get("/v1/jobs").headers[REQUEST_HEADER]  # a 401 has one too


def test_a_fault_of_ours_is_counted_and_named_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> str:
        raise KeyError("a bug")

    monkeypatch.setattr("server.health._redis", fails)
    outside = TestClient(world.http.app, raise_server_exceptions=False)
    answer = outside.get("/readyz", headers={REQUEST_HEADER: "mine-12345"})
    assert (answer.status_code, answer.headers[REQUEST_HEADER]) == (500, "mine-12345")
    counted = 'tapestry_http_requests_total{method="GET",route="/readyz",status="500"} 1.0'
    assert counted in world.viewer("GET", "/metrics").text.splitlines()


def test_no_secret_is_logged_while_a_job_runs(pair: World, written: Written) -> None:
    pair.plan(pair.launch())
    pair.add_client("c3")
    pair.train("c1", 1.0)
    wrong = "tap_12345678_a-key-that-is-none"
    Caller(pair.http, wrong)("GET", f"/v1/jobs/{wrong}")
    pair.viewer("GET", f"/v1/jobs/{wrong}")
    everything = "\n".join(written.lines)
    assert "assignment.accepted" in everything
    keys = (pair.operator, pair.viewer, pair.planner, *pair.clients.values())
    for caller in (*keys, Caller(pair.http, wrong)):
        assert caller.key.split("_", 2)[2] not in everything


def test_a_failing_statement_s_values_are_not_logged(world: World) -> None:
    with pytest.raises(Exception, match="hide_parameters") as caught:
        world.execute("SELECT 1 / (:a - 1) WHERE :b = 'hidden'", a=1, b="hidden value")
    assert "hidden value" not in str(caught.value)
