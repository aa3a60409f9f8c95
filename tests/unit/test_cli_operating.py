"""The commands of operators: what they ask the API, and what they print."""

import json
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

from cli.main import app
from cli.stack.processes import Command, Processes
from cli.stack.settings import StackSettings
from cli.stack.stack import Stack
from server import examples
from shared.attendance import AttendanceList
from shared.reports import BenefitsView, ReportView
from shared.views import ClientList, JobDetail, JobList, JobView
from shared.waiting import WaitingList
from tests.support.answering import answering
from tests.support.scripted import offer

pytestmark = pytest.mark.unit

JOB = UUID(int=7)
ANSWERS = {
    f"/v1/jobs/{JOB}/pause": (200, examples.PAUSED_JOB),
    f"/v1/jobs/{JOB}/resume": (200, examples.JOB),
    f"/v1/jobs/{JOB}/attendance": (200, examples.ATTENDANCE),
    f"/v1/jobs/{JOB}/fork": (201, examples.FORKED_JOB),
    f"/v1/jobs/{JOB}/report": (200, examples.REPORT),
    f"/v1/jobs/{JOB}/benefits": (200, examples.BENEFITS),
    "/v1/jobs": (200, examples.JOBS),
    "/v1/clients": (200, examples.CLIENTS),
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[httpx.Request]:
    """The requests of the command, which are answered with examples."""
    return answering(monkeypatch, ANSWERS)


def said(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def test_jobs_are_paused_and_resumed(asked: list[httpx.Request]) -> None:
    assert said("pause", str(JOB)) == "paused"
    assert said("resume", str(JOB)) == "running"
    assert [request.method for request in asked] == ["POST", "POST"]


def test_a_fork_is_launched_from_a_file(asked: list[httpx.Request], tmp_path: Path) -> None:
    spec = tmp_path / "job.json"
    spec.write_text(json.dumps(examples.JOB_SPEC))
    assert said("fork", str(JOB), "--round", "2", "--spec", str(spec)) == examples.JOB["id"]
    [request] = asked
    body = json.loads(request.content)
    assert (body["round"], body["spec"]["name"]) == (2, examples.JOB_SPEC["name"])
    assert request.headers["Idempotency-Key"]


@pytest.mark.usefixtures("job_there")
@pytest.mark.parametrize("command", ["submit", "fork", "distil", "onboard"])
def test_who_names_a_launch_repeats_it_and_launches_once(
    asked: list[httpx.Request], command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.json").write_text(json.dumps(examples.JOB_SPEC))
    newcomer = {**examples.CLIENT, "id": "c9", "offer": offer()}
    monkeypatch.setitem(ANSWERS, "/v1/clients", (200, {"items": [newcomer]}))
    if command == "submit":
        monkeypatch.setitem(ANSWERS, "/v1/jobs", (201, examples.JOB_DETAIL))
    arguments, _ = AS_JSON[command]
    for key in ("mine", "mine", None):
        said(*arguments, *(["--idempotency-key", key] if key else []))
    keys = [each.headers["Idempotency-Key"] for each in asked if each.method == "POST"]
    assert keys[:2] == ["mine", "mine"]
    assert len(keys[2]) == 36


@pytest.fixture
def job_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ANSWERS, f"/v1/jobs/{JOB}", (200, examples.JOB_DETAIL))
    monkeypatch.setitem(ANSWERS, f"/v1/jobs/{JOB}/versions", (200, examples.VERSIONS))


def sent(requests: list[httpx.Request]) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(requests[-1].content)
    return body


@pytest.mark.usefixtures("job_there")
def test_distilling_again_forks_and_says_how_to_go_on(asked: list[httpx.Request]) -> None:
    options = ["--round", "2", "--personal-round", "1", "--steps", "5", "--weight", "digits=0.5"]
    result = CliRunner().invoke(app, ["distil", str(JOB), *options])
    assert result.exit_code == 0, result.output
    fork = examples.FORKED_JOB["id"]
    assert result.stdout == f"{fork}\n"
    assert result.stderr == f"then: tapestry watch {fork}, and tapestry report {fork}\n"
    body = sent(asked)
    assert (body["round"], body["personal_round"], body["personal_states"]) == (2, 1, "parent")
    assert body["spec"]["rounds"]["count"] == 2
    assert body["spec"]["post"]["steps"] == 5
    assert body["spec"]["tasks"]["digits"]["distillation_weight"] == 0.5
    assert asked[-1].headers["Idempotency-Key"]


@pytest.mark.usefixtures("job_there")
def test_onboarding_asks_what_the_newcomer_has(
    asked: list[httpx.Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    newcomer = {**examples.CLIENT, "id": "c9", "offer": offer()}
    monkeypatch.setitem(ANSWERS, "/v1/clients", (200, {"items": [newcomer]}))
    assert said("onboard", str(JOB), "c9").splitlines()[0] == examples.FORKED_JOB["id"]
    body = sent(asked)
    assert (body["round"], body["personal_round"]) == (2, None)
    assert (body["spec"]["clients"], list(body["spec"]["tasks"])) == (["c9"], ["digits"])


@pytest.mark.usefixtures("asked", "job_there")
@pytest.mark.parametrize("arguments", [["distil", "--weight", "x=1"], ["onboard", "c01"]])
def test_what_is_refused_ends_in_one_sentence(arguments: list[str]) -> None:
    command, *more = arguments
    result = CliRunner().invoke(app, [command, str(JOB), *more])
    assert result.exit_code == 2
    assert result.stderr.startswith("tapestry: ")
    assert result.stderr.count("\n") == 1


def test_rounds_say_who_was_missing_and_what_was_not_delivered(
    asked: list[httpx.Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    title, row = said("rounds", str(JOB)).splitlines()
    assert title.rstrip().endswith("components not delivered")
    assert "1 of 2" in row
    assert "c02: the round closed without it" in row
    assert "head.digits (c02); proj (c01, c02)" in row
    assert json.loads(said("rounds", str(JOB), "--json")) == examples.ATTENDANCE
    assert len(asked) == 2


@pytest.mark.usefixtures("asked")
def test_a_forks_parent_stands_in_the_list_and_in_its_report(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fork = {"job": str(JOB), "round": 2}
    plain = {**examples.JOB, "id": str(UUID(int=9))}
    both = [{**examples.JOB, "forked_from": fork}, plain]
    monkeypatch.setitem(ANSWERS, "/v1/jobs", (200, {"items": both, "next": None}))
    title, first, second = said("jobs").splitlines()
    assert title.rstrip().endswith("forked from")
    assert first.rstrip().endswith(" 00000000, round 2")
    assert second.rstrip().endswith("-")
    assert "forked from" not in said("report", str(JOB))
    report = {**examples.REPORT, "forked_from": fork}
    monkeypatch.setitem(ANSWERS, f"/v1/jobs/{JOB}/report", (200, report))
    assert f"forked from {JOB}, round 2" in said("report", str(JOB))


@pytest.mark.usefixtures("asked")
def test_a_report_tells_what_clients_lost_and_when() -> None:
    assert "c02 has lost task digits from round 2 (train) on" in said("report", str(JOB))


def test_whom_federation_helped_is_told_beside_the_jobs_that_are_named(
    asked: list[httpx.Request],
) -> None:
    assert examples.BENEFITS["sentence"] in said("report", str(JOB))
    told = said("benefits", str(JOB), "--alone", str(UUID(int=1)), "--averaged", str(UUID(int=2)))
    assert dict(asked[-1].url.params) == {
        "alone": str(UUID(int=1)),
        "averaged": str(UUID(int=2)),
    }
    title, row, sentence = told.splitlines()
    assert title.split() == [
        "client", "task", "metric", "alone", "fedavg", "job", "gain", "verdict",
    ]  # fmt: skip
    assert " ".join(row.split()) == (
        "c01 digits accuracy 0.700 - 0.900 +0.222 (+0.060 to +0.340) helped"
    )
    assert sentence == examples.BENEFITS["sentence"]


@pytest.mark.usefixtures("asked")
def test_without_measured_models_nobody_is_said_to_benefit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nothing = {**examples.BENEFITS, "rows": []}
    monkeypatch.setitem(ANSWERS, f"/v1/jobs/{JOB}/benefits", (200, nothing))
    assert said("benefits", str(JOB)).startswith("no models have been measured yet")
    assert examples.BENEFITS["sentence"] not in said("report", str(JOB))


@pytest.mark.usefixtures("asked")
def test_a_published_card_is_told_in_short() -> None:
    told = said("clients")
    assert "card" in told
    assert "0 errors, 1 warnings" in told


@pytest.mark.usefixtures("asked")
def test_clients_without_cards_have_no_column_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = {"items": [{**examples.CLIENT, "offer": examples.OFFER}]}
    monkeypatch.setitem(ANSWERS, "/v1/clients", (200, plain))
    told = said("clients")
    assert "digits (240)" in told
    assert "card" not in told


@pytest.mark.usefixtures("asked")
def test_a_list_without_forks_has_no_column_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ANSWERS, "/v1/jobs", (200, {"items": [examples.JOB], "next": None}))
    assert "forked from" not in said("jobs")


@pytest.mark.usefixtures("asked")
def test_a_name_is_printed_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "lung [north] :smile:"
    job = {**examples.JOB, "name": name}
    monkeypatch.setitem(ANSWERS, "/v1/jobs", (200, {"items": [job], "next": None}))
    assert name in said("jobs")
    monkeypatch.setitem(ANSWERS, f"/v1/jobs/{JOB}/report", (200, {**examples.REPORT, "name": name}))
    assert name in said("report", str(JOB))


COMMANDS = [
    "watch", "why", "cancel", "pause", "resume", "rounds", "report", "benefits", "fork", "distil",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.usefixtures("asked")
def test_a_job_that_is_not_there_is_named(command: str, tmp_path: Path) -> None:
    spec = tmp_path / "job.json"
    spec.write_text(json.dumps(examples.JOB_SPEC))
    more = ["--round", "2", "--spec", str(spec)] if command == "fork" else []
    result = CliRunner().invoke(app, [command, str(UUID(int=8)), *more])
    assert result.exit_code == 1
    assert result.stderr == (
        f"tapestry: there is no job {UUID(int=8)} at http://127.0.0.1:1: choose one that "
        "`tapestry jobs` lists\n"
    )


@pytest.mark.usefixtures("asked")
def test_something_else_that_is_not_there_is_no_unknown_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(ANSWERS, f"/v1/jobs/{JOB}", (200, examples.JOB_DETAIL))
    result = CliRunner().invoke(app, ["why", str(JOB)])
    assert result.stderr == "tapestry: There is no such thing: check the address.\n"


AS_JSON: dict[str, tuple[list[str], type[BaseModel]]] = {
    "submit": (["submit", "job.json"], JobDetail),
    "why": (["why", str(JOB)], WaitingList),
    "jobs": (["jobs"], JobList),
    "clients": (["clients"], ClientList),
    "rounds": (["rounds", str(JOB)], AttendanceList),
    "report": (["report", str(JOB)], ReportView),
    "benefits": (["benefits", str(JOB)], BenefitsView),
    "pause": (["pause", str(JOB)], JobView),
    "resume": (["resume", str(JOB)], JobView),
    "cancel": (["cancel", str(JOB)], JobView),
    "fork": (["fork", str(JOB), "--round", "2", "--spec", "job.json"], JobDetail),
    "distil": (["distil", str(JOB)], JobDetail),
    "onboard": (["onboard", str(JOB), "c9"], JobDetail),
}


@pytest.mark.usefixtures("asked", "job_there")
@pytest.mark.parametrize("command", AS_JSON)
def test_json_is_what_the_api_answered_and_nothing_else(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.json").write_text(json.dumps(examples.JOB_SPEC))
    arguments, kind = AS_JSON[command]
    newcomer = {**examples.CLIENT, "id": "c9", "offer": offer()}
    answers = {
        "/v1/jobs": (200, examples.JOB_DETAIL if command == "submit" else examples.JOBS),
        "/v1/clients": (200, {"items": [newcomer]}),
        f"/v1/jobs/{JOB}/waiting": (200, examples.WAITING),
        f"/v1/jobs/{JOB}/cancel": (200, {**examples.JOB, "state": "cancelling"}),
    }
    for path, answer in answers.items():
        monkeypatch.setitem(ANSWERS, path, answer)
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert kind.model_validate_json(result.stdout) == kind.model_validate(answered(command))


def answered(command: str) -> Any:
    path = {"submit": "/v1/jobs", "jobs": "/v1/jobs", "clients": "/v1/clients"}.get(command)
    route = {"why": "waiting", "rounds": "attendance", "distil": "fork", "onboard": "fork"}
    return ANSWERS[path or f"/v1/jobs/{JOB}/{route.get(command, command)}"][1]


def test_processes_of_a_stack_are_watched_at_ports_that_follow_each_other(tmp_path: Path) -> None:
    with Processes() as processes:
        stack = Stack(processes, StackSettings(tmp_path, tmp_path, metrics_port=9100))
        given = []
        for _ in ("api", "coordinator", "planner"):
            given.append(stack._metrics_env().get("TAPESTRY_METRICS_PORT"))
            command = Command("sleeper", [sys.executable, "-c", "input()"])
            stack._children.append(processes.start(command, tmp_path / "log"))
    assert given == [None, "9100", "9101"]
