"""`tapestry submit FILE --dry-run`: the verdict first, short tables, and status 1 where not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from cli.connection import Connection
from cli.main import app
from server import examples
from shared.api_client import ApiClient

pytestmark = pytest.mark.unit

WAITING = {
    "cause": "working",
    "owner": "planner",
    "since": "2026-01-31T12:00:00Z",
    "until": "2026-01-31T12:05:00Z",
    "then": "A planner describes the components, and the answer is complete.",
    "sentence": "A planner describes the components.",
}
UNKNOWN: dict[str, Any] = {
    **examples.DRY_RUN,
    "verdict": "unknown",
    "complete": False,
    "waiting": WAITING,
    "components": {"proj": {"contributors": {"c01": 120}, "size": None}},
    "clients": {"c01": {"seen_at": None, "tasks": ["digits"], "components": ["proj"]}},
    **dict.fromkeys(("version", "round", "job", "base_digest")),
}
SILENT = {**UNKNOWN, "waiting": {**WAITING, "cause": "planner_silent", "sentence": "No planner."}}
REFUSED = {
    **UNKNOWN,
    "verdict": "cannot_run",
    "complete": True,
    "waiting": None,
    "reasons": [
        {"code": "unknown_client", "sentence": "clients: c9 is not registered; register it"},
        {"code": "quorum_unreachable", "sentence": "rounds.quorum: 5 clients are needed"},
    ],
}
SPEC = "SPEC"  # in a command: the spec's file
JOB = examples.FORK_DRY_RUN["forked_from"]["job"]
Submit = Callable[..., Result]


@pytest.fixture
def asked() -> list[httpx.Request]:
    return []


@pytest.fixture
def submit(asked: list[httpx.Request], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Submit:
    """The command on a spec, answered in turn."""
    spec = tmp_path / "job.json"
    spec.write_text(json.dumps(examples.JOB_SPEC))

    def run(
        *answers: dict[str, Any],
        options: tuple[str, ...] = ("--dry-run",),
        command: tuple[str, ...] = ("submit", SPEC),
    ) -> Result:
        coming = iter(answers)

        def answer(request: httpx.Request) -> httpx.Response:
            asked.append(request)
            return httpx.Response(200, json=next(coming))

        def connect(_: Connection, __: float | None = None) -> ApiClient:
            api = ApiClient("http://127.0.0.1:1", "key")
            api._http.close()
            transport = httpx.MockTransport(answer)
            api._http = httpx.Client(base_url=api.url, transport=transport)
            return api

        monkeypatch.setattr(Connection, "open", connect)
        words = (str(spec) if word == SPEC else word for word in command)
        return CliRunner().invoke(app, [*words, *options])

    return run


def test_a_job_that_can_run_is_said_to_with_its_tables(
    submit: Submit, asked: list[httpx.Request]
) -> None:
    result = submit(examples.DRY_RUN)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "the job can run"
    assert lines[1].startswith("warning: tasks.digits")
    text = " ".join(result.stdout.split())
    for piece in (
        "digits c01 image 120 20 40 64 56",
        "proj 4,160 16.8 kB 0 B c01 (120)",
        "a whole version 4,290 17.4 kB 0 B",
        "17.4 kB 17.4 kB 17.4 kB 34.3 kB 12 s",
        "a round of 6 clients: 104.7 kB down the first time, 104.7 kB later, 104.7 kB up",
        "12 s with all clients at once, 1.2 min one after the other",
        "the job's 4 rounds: 523.4 kB down, 418.8 kB up; full state dicts would be 926.6 kB",
    ):
        assert piece in text
    [request] = asked
    assert request.url.path == "/v1/jobs:dry-run"
    assert request.headers["Idempotency-Key"]


def test_a_job_that_cannot_run_ends_with_status_1_and_every_reason(submit: Submit) -> None:
    result = submit(REFUSED)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == "the job cannot run"
    assert [line.strip() for line in lines[1:3]] == [r["sentence"] for r in REFUSED["reasons"]]


def test_it_waits_while_a_planner_works(submit: Submit, asked: list[httpx.Request]) -> None:
    result = submit(UNKNOWN, UNKNOWN, examples.DRY_RUN)
    assert result.exit_code == 0
    assert [request.method for request in asked] == ["POST", "GET", "GET"]
    assert result.stderr.splitlines() == ["A planner describes the components."] * 2


def test_without_a_planner_it_says_what_it_knows_and_ends(
    submit: Submit, asked: list[httpx.Request]
) -> None:
    result = submit(SILENT)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1].strip() == "No planner."
    assert "proj ? ? ? c01 (120)" in " ".join(result.stdout.split())
    assert len(asked) == 1


def test_minutes_that_nobody_measured_are_unknown(submit: Submit) -> None:
    time = {"stands_on": "unknown: it has trained no model of this size yet"}
    client = {**examples.DRY_RUN["clients"]["c01"], "time": time}
    rounds = {name: {**examples.DRY_RUN[name], "time": None} for name in ("round", "job")}
    text = submit({**examples.DRY_RUN, "clients": {"c01": client}, **rounds}).stdout
    assert text.count("minutes unknown") == 2
    assert "minutes of c01: unknown: it has trained no model of this size yet" in text


def test_as_json_it_is_the_answer(submit: Submit) -> None:
    result = submit(examples.DRY_RUN, options=("--dry-run", "--json"))
    assert json.loads(result.stdout) == examples.DRY_RUN


def test_a_fork_is_tried_out_with_what_would_follow(
    submit: Submit, asked: list[httpx.Request]
) -> None:
    command = ("fork", JOB, "--round", "2", "--spec", SPEC, "--fresh")
    result = submit(examples.FORK_DRY_RUN, command=command)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == f"the job can run as a fork from version 2 of {JOB}"
    assert "the fork's 2 rounds: 314.1 kB down, 209.4 kB up" in " ".join(result.stdout.split())
    [request] = asked
    assert request.url.path == f"/v1/jobs/{JOB}/fork:dry-run"
    body = json.loads(request.content)
    assert (body["round"], body["personal_states"]) == (2, "fresh")


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (("submit", SPEC), examples.DRY_RUN),
        (("fork", JOB, "--round", "2", "--spec", SPEC), examples.FORK_DRY_RUN),
    ],
)
def test_an_idempotency_key_is_sent(
    submit: Submit, asked: list[httpx.Request], command: tuple[str, ...], answer: dict[str, Any]
) -> None:
    options = ("--dry-run", "--idempotency-key", "mine")
    assert submit(answer, command=command, options=options).exit_code == 0
    assert asked[0].headers["Idempotency-Key"] == "mine"


def test_without_a_round_to_come_there_is_none_to_cost(submit: Submit) -> None:
    job = {**examples.FORK_DRY_RUN["job"], "rounds": 0}
    text = submit({**examples.FORK_DRY_RUN, "round": None, "job": job}).stdout
    assert "a round of" not in text
    assert "the fork's 0 rounds" in text


def test_a_fork_that_cannot_run_ends_with_status_1(submit: Submit) -> None:
    command = ("fork", JOB, "--round", "2", "--spec", SPEC)
    origin = examples.FORK_DRY_RUN["forked_from"]
    result = submit({**REFUSED, "forked_from": origin}, command=command)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1].strip() == REFUSED["reasons"][0]["sentence"]


@pytest.mark.parametrize("command", [("distil", JOB), ("onboard", JOB, "c07")])
def test_stage_two_alone_is_tried_out(
    submit: Submit, asked: list[httpx.Request], command: tuple[str, ...]
) -> None:
    newcomers = [{"items": [{**examples.CLIENT, "id": "c07"}]}] if command[0] == "onboard" else []
    parent = [examples.VERSIONS, *newcomers, examples.PARENT_JOB]
    result = submit(*parent, examples.FORK_DRY_RUN, command=command)
    assert result.exit_code == 0, result.output
    assert [request.method for request in asked] == ["GET"] * len(parent) + ["POST"]
    assert asked[-1].url.path == f"/v1/jobs/{JOB}/fork:dry-run"
