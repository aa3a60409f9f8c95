"""`tapestry shelf`: what is listed and deleted, and what the worker's part is told."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from typer.testing import CliRunner, Result

from cli import shelf
from cli.connection import Connection
from cli.main import app
from server import examples
from server.examples.ids import JOB_ID
from shared.shelf_spec import key_file
from tests.support.answering import answering

pytestmark = pytest.mark.unit
PATH = f"/v1/jobs/{JOB_ID}/shelf"
NOBODY = {**examples.SHELF, "asked": "none", "items": []}


def answers(**changes: Any) -> dict[str, tuple[int, Any]]:
    return {"/v1/whoami": (200, examples.WHO), PATH: (200, examples.SHELF), **changes}


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["shelf", *arguments])
    assert result.exit_code == code, result.output
    return result


def test_whose_model_is_there_and_who_goes_without(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, answers())
    title, one, two = run("list", JOB_ID).stdout.splitlines()
    assert title.split()[:2] == ["client", "since"]
    assert one.startswith("c01 ")
    assert one.rstrip().endswith("encrypted, 4096 bytes")
    assert "it goes without, for the client does not allow it" in two
    assert json.loads(run("list", JOB_ID, "--json").stdout) == examples.SHELF


def test_a_job_that_asks_for_none_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, {PATH: (200, NOBODY)})
    assert run("list", JOB_ID).stdout == (
        "the job asks for no personal models: its spec says shelf: none\n"
    )


def test_a_client_deletes_its_own_and_an_operator_must_say_that_all_are_meant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = answering(monkeypatch, answers() | {PATH: (200, examples.SHELF_DELETED)})
    said = run("delete", JOB_ID).stdout
    assert said == f"deleted from the shelf of job {JOB_ID}: the models of c01, 4096 bytes\n"
    assert [request.method for request in asked] == ["GET", "DELETE"]
    operator = {"scope": "operator", "client": None}
    gone = (200, {"clients": [], "n_bytes": 0})
    asked = answering(monkeypatch, {"/v1/whoami": (200, operator), PATH: gone})
    refused = run("delete", JOB_ID, code=2)
    assert "or --all" in refused.stderr
    assert [request.method for request in asked] == ["GET"]
    assert run("delete", JOB_ID, "--all").stdout.endswith("the models of none\n")
    assert json.loads(run("delete", JOB_ID, "--all", "--json").stdout) == gone[1]
    assert "leave it or --client out" in run("delete", JOB_ID, "--all", "--client=c", code=2).stderr


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """What the worker's part is started with, in a place where a stack runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "client.yaml").write_text("client: c01")
    (tmp_path / "tap.key").write_text("tap_x")
    state = tmp_path / ".tapestry" / "local"
    state.mkdir(parents=True)
    place = {"file": str(tmp_path / "client.yaml"), "work_dir": str(tmp_path / "w1")}
    note = {"url": "http://u", "key_file": "keys/admin.key", "clients": {"c01": place}}
    (state / "stack.json").write_text(json.dumps(note))
    started: list[Any] = []
    monkeypatch.setattr(shelf, "run_worker", lambda *given: started.append(given))
    return started


@pytest.mark.parametrize("verb", ["get", "put"])
def test_the_worker_s_part_is_told_where_everything_is(
    told: list[Any], tmp_path: Path, verb: str
) -> None:
    given = ("--client-file", "client.yaml", "--key-file", "tap.key", "--url", "http://there")
    run(verb, JOB_ID, *given, "--work-dir", "new", "--shelf-key", "my.key")
    [(module, arguments, env)] = told
    assert (module, arguments) == ("worker.shelf", [verb, JOB_ID])
    assert env == {
        "TAPESTRY_API_URL": "http://there",
        "TAPESTRY_KEY": "tap_x",
        "TAPESTRY_CLIENT_FILES": "client.yaml",
        "TAPESTRY_WORK_DIR": "new",
        "TAPESTRY_SHELF_KEY_FILE": "my.key",
    }
    assert not (tmp_path / "new").exists()
    run(verb, JOB_ID, *given, "--json")
    assert told[-1][1] == [verb, JOB_ID, "--json"]


def test_in_a_stack_s_place_the_key_is_the_stack_s_also_for_another_directory(
    told: list[Any], tmp_path: Path
) -> None:
    for more in ((), ("--work-dir", "new")):
        run("get", JOB_ID, "--client", "c01", *more)
        env = told.pop()[2]
        assert env["TAPESTRY_WORK_DIR"] == (more[1] if more else str(tmp_path / "w1"))
        assert env["TAPESTRY_SHELF_KEY_FILE"] == str(key_file(tmp_path / "w1", "c01"))
        assert env["TAPESTRY_KEYS_DIR"] == "keys"


def test_a_client_of_the_stack_deletes_with_its_own_key(
    told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told == []
    used: list[Connection] = []
    real = Connection.about

    def noted(self: Connection, job: UUID) -> Any:
        used.append(self)
        return real(self, job)

    monkeypatch.setattr(Connection, "about", noted)
    answering(monkeypatch, answers() | {PATH: (200, examples.SHELF_DELETED)})
    run("delete", JOB_ID, "--client", "c01")
    assert [connection.key_file for connection in used] == [Path("keys/c01.key")]


def test_a_shelf_key_lies_beside_the_work_directory_and_not_in_it() -> None:
    assert key_file(Path("/a/worker"), "c01") == Path("/a/worker-shelf-keys/c01.key")
    assert key_file(Path("worker"), "c01").parent.parent == Path.cwd()


def test_requests_are_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[httpx.Request] = answering(monkeypatch, {PATH: (200, examples.SHELF)})
    with Connection("http://u", "k", None).open() as api:
        item = api.shelf(JOB_ID).items[0].item
    assert item is not None
    assert (item.form, item.n_bytes, item.current) == ("encrypted", 4096, True)
    assert len(asked) == 1
