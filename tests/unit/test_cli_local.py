"""What the commands of this machine say: the stack's place, versions, and the same as JSON."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from cli import local, mlflow_sink
from cli.connection import Connection
from cli.demo import preparing
from cli.demo import run as demo_run
from cli.main import app
from cli.stack import detached
from cli.stack.errors import StackError
from server import examples
from tests.support.answering import URL, answering

pytestmark = pytest.mark.unit
JOB = UUID(int=7)
NOTE = {"url": "http://there", "key_file": "/keys/admin.key", "clients": {}}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAPESTRY_STATE", raising=False)
    return tmp_path


def run(*arguments: str, code: int = 0, **env: str) -> str:
    result = CliRunner().invoke(app, list(arguments), env=env)
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.stderr


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The stacks that were begun, none of which runs; each has written its note."""
    found: list[Any] = []

    def start(settings: Any, clients: Path | None) -> Path:
        found.append((settings, clients))
        settings.state.mkdir(parents=True, exist_ok=True)
        (settings.state / "stack.json").write_text(json.dumps(NOTE))
        return Path("up.log")

    monkeypatch.setattr(detached, "start", start)
    return found


def test_the_version_is_told() -> None:
    assert run("--version").startswith("tapestry 0.")


def test_a_stack_in_the_background_is_told_as_json(started: list[Any]) -> None:
    assert json.loads(run("up", "--detach", "--json")) == {
        "url": "http://there",
        "key_file": "/keys/admin.key",
        "clients": [],
        "state": ".tapestry/local",
        "log": "up.log",
    }
    assert "`tapestry down` ends it; its log is up.log" in run("up", "--detach")
    assert len(started) == 2


def test_the_demonstrations_clients_are_made_and_hosted(
    started: list[Any], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = place / "made"
    (made / "c01").mkdir(parents=True)
    (made / "c01" / "client.yaml").write_text("client: c01")
    asked: list[tuple[Path, ...]] = []

    def prepared(*given: Path) -> Path:
        asked.append(given)
        return made

    monkeypatch.setattr(local, "clients_of", prepared)
    said = CliRunner().invoke(app, ["up", "--demo", "--detach", "--json"])
    assert json.loads(said.stdout)["clients"] == ["c01"]
    assert "preparing" in said.stderr
    assert asked == [(Path(".tapestry/local"), Path(".tapestry/cache"))]
    assert started[0][1] == made


def test_without_the_examples_there_is_no_demonstration(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "EXAMPLE", place / "nothing")
    with pytest.raises(StackError, match="run the command of a clone"):
        preparing.clients_of(place / "state", place / "cache")


def test_a_stack_elsewhere_is_found_by_its_state(
    started: list[Any], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = place / "else where"
    assert f"find it by TAPESTRY_STATE={state}" in run("up", "--detach", "--state", str(state))
    assert "TAPESTRY_STATE" in run("jobs", code=2)
    monkeypatch.setenv("TAPESTRY_STATE", str(state))
    run("up", "--detach")
    assert started[-1][0].state == state
    found = Connection(None, "k", None)
    with found.open() as api:
        assert api.url == "http://there"
    assert found.of_worker(None)["TAPESTRY_API_URL"] == "http://there"
    assert json.loads(run("down", "--json")) == {"state": str(state), "ended": False}


def test_a_demonstration_is_told_as_json(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = place / "report.json"
    report.write_text('{"seconds": 3}\n')

    def ran(console: Any, _: Path) -> Path:
        console.print("a table")
        return report

    monkeypatch.setattr(demo_run, "run", ran)
    result = CliRunner().invoke(app, ["demo", "--json"])
    assert json.loads(result.stdout) == {"seconds": 3}
    assert "a table" in result.stderr
    assert "a table" in run("demo")


def test_the_link_to_the_page_is_in_the_json(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, {"/v1/keys": (201, examples.KEY_CREATED)})
    told = json.loads(run("page", "--json"))
    assert told["link"] == f"{URL}/signin#{told['key']}"
    assert run("page") == f"{told['link']}\n"


def test_a_run_of_mlflow_is_told_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, {})
    monkeypatch.setattr(mlflow_sink, "write", lambda *_: "abc")
    given = ["mlflow", str(JOB), "--tracking-uri", "sqlite:///x.db"]
    assert run(*given) == "abc\n"
    assert json.loads(run(*given, "--json")) == {
        "job": str(JOB),
        "run": "abc",
        "tracking_uri": "sqlite:///x.db",
        "experiment": "tapestry",
    }
