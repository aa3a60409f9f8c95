"""Clients that a job names and that are not there: who is named, and what there is to do."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.absent import refused
from cli.listing import clients_table, is_there
from cli.main import app
from server import examples
from server.errors import ProblemError
from server.examples.ids import JOB_ID
from server.jobs.admission import refusals
from shared.job_spec import JobSpec
from shared.problem_codes import Code
from shared.views import ClientView
from tests.support.answering import URL, answering

pytestmark = pytest.mark.unit
LOST = "00000000-0000-4000-8000-000000000000"
SPEC = JobSpec.model_validate(examples.JOB_SPEC)


def client(name: str, ago_s: float = 0.0, **changes: Any) -> ClientView:
    seen = datetime.now(UTC) - timedelta(seconds=ago_s)
    return ClientView.model_validate({**examples.CLIENT, "id": name, "seen_at": seen, **changes})


def everybody(**changes: Any) -> list[ClientView]:
    return [client(name, **changes) for name in SPEC.clients]


def submitted(monkeypatch: pytest.MonkeyPatch, there: list[ClientView], *more: str) -> Result:
    """What the command says where these are registered, and the API decides as it does."""
    offers = {each.id: each.offer for each in there}
    reasons = refusals(SPEC, {name: offers[name] for name in SPEC.clients if name in offers})
    missing = [reason for reason in reasons if reason.sentence.startswith("clients: ")]
    answer: tuple[int, Any] = (201, examples.JOB_DETAIL)
    if missing:
        said = [reason.sentence for reason in reasons]
        answer = (422, ProblemError(422, missing[0].code, said[0], errors=said).problem)
        answer = (422, json.loads(answer[1].model_dump_json()))
    clients = {"items": [json.loads(each.model_dump_json()) for each in there]}
    answering(monkeypatch, {"/v1/jobs": answer, "/v1/clients": (200, clients)})
    Path("job.json").write_text(json.dumps(examples.JOB_SPEC))
    return CliRunner().invoke(app, ["submit", "job.json", *more])


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_clients_whom_nobody_has_registered_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = submitted(monkeypatch, [])
    assert (done.exit_code, done.stdout) == (1, "")
    names = ", ".join(SPEC.clients)
    assert done.stderr == (
        f"tapestry: nobody has registered {names} at {URL}: host them by `tapestry up --clients "
        "DIR` (those of the demonstration by `tapestry up --demo`), register them by `tapestry "
        "register`, or take them out of the spec\n"
    )


def test_a_client_for_whom_no_worker_has_spoken_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *rest = everybody()
    done = submitted(monkeypatch, [client(first.id, offer=None), *rest])
    assert done.exit_code == 1
    assert f"no worker has spoken for {first.id} yet: start theirs" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_fork_is_refused_with_the_same_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = ProblemError(422, Code.UNKNOWN_CLIENT, "one of many").problem
    fork = (422, json.loads(answer.model_dump_json()))
    answers: dict[str, tuple[int, Any]] = {"/v1/clients": (200, {"items": []})}
    answering(monkeypatch, {**answers, f"/v1/jobs/{JOB_ID}/fork": fork})
    Path("job.json").write_text(json.dumps(examples.JOB_SPEC))
    done = CliRunner().invoke(app, ["fork", JOB_ID, "--round", "1", "--spec", "job.json"])
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith(f"tapestry: nobody has registered {SPEC.clients[0]}, ")


def test_many_names_are_cut() -> None:
    said = refused([f"c{number}" for number in range(15)], [], URL)
    assert "c10, c11 and 3 more at" in said


def test_a_job_for_whom_nobody_is_there_now_is_launched_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, *rest = everybody()
    done = submitted(monkeypatch, [client(first.id, ago_s=90), *rest], "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["id"] == examples.JOB_DETAIL["id"]
    assert done.stderr.startswith(f"nobody speaks for {first.id} now, and the job will wait")
    assert submitted(monkeypatch, everybody()).stderr == ""


def test_a_job_is_launched_also_where_the_list_of_clients_cannot_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answering(monkeypatch, {"/v1/jobs": (201, examples.JOB_DETAIL)})
    Path("job.json").write_text(json.dumps(examples.JOB_SPEC))
    done = CliRunner().invoke(app, ["submit", "job.json"])
    assert (done.exit_code, done.stderr) == (0, "")


def test_another_reason_is_told_as_the_api_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    said = ["tasks.digits: no client of the job offers it; add one that does or remove it"]
    answer = ProblemError(422, Code.TASK_WITHOUT_CLIENT, said[0], errors=said).problem
    answering(monkeypatch, {"/v1/jobs": (422, json.loads(answer.model_dump_json()))})
    Path("job.json").write_text(json.dumps(examples.JOB_SPEC))
    done = CliRunner().invoke(app, ["submit", "job.json"])
    assert (done.exit_code, done.stderr) == (1, f"tapestry: {said[0]}\n")


def test_the_list_of_clients_says_who_is_there_as_the_page_does() -> None:
    now_ = datetime.now(UTC)
    assert is_there(now_ - timedelta(seconds=59), now_)
    assert not is_there(now_ - timedelta(seconds=60), now_)
    assert not is_there(None, now_)
    script = Path(__file__).parents[2] / "server" / "web" / "static" / "live.js"
    assert "const ALIVE_S = 60;" in script.read_text()
    table = clients_table([client("a"), client("b", 61), client("c", seen_at=None)], now_)
    [now] = [column for column in table.columns if column.header == "now"]
    assert list(now.cells) == ["there", "silent", "-"]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (f"report {JOB_ID} --alone {LOST}", f"there is no job {LOST} at "),
        (f"benefits {JOB_ID} --averaged {LOST}", f"there is no job {LOST} at "),
        ("keys revoke deadbeef", "there is no key deadbeef at "),
        ("keys create --client c99", "there is no client c99 at "),
        ("jobs --client Nobody", "no client's name"),
        (f"report {JOB_ID} --json --alone {JOB_ID}", "`tapestry benefits --json`"),
    ],
)
def test_what_is_missing_is_named_and_who_lists_the_others(
    command: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, {f"/v1/jobs/{JOB_ID}": (200, examples.JOB_DETAIL)})
    done = CliRunner().invoke(app, command.split())
    assert done.exit_code != 0
    [line] = done.stderr.splitlines()
    assert says in line
    assert "`tapestry " in line
