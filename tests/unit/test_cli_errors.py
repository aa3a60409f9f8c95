"""Whatever the API answers, each command ends with one sentence and the right exit code."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from cli.exits import MEANINGS
from cli.main import app
from server.errors import ProblemError
from shared.exits import ExitCode
from shared.problem_codes import Code
from tests.support.refusing import (
    JOB,
    OF_THE_API,
    OF_THE_MACHINE,
    Server,
    free_port,
    refused,
    serving,
    workplace,
)

pytestmark = pytest.mark.unit

TASK = (
    "{kind: text_classification, modalities: [text], classes: [a, b], data: x, split: {test: 0.5}}"
)
CLIENT = f"client: c01\ntasks:\n  t: {TASK}\n"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    workplace(tmp_path, monkeypatch)
    return tmp_path


def commands() -> set[str]:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    return {
        f"{name} {sub}".strip()
        for name, command in group.commands.items()
        for sub in getattr(command, "commands", [""])
    }


def test_every_command_is_walked_through() -> None:
    assert commands() == {*OF_THE_API, *OF_THE_MACHINE}


def test_every_exit_code_has_a_meaning() -> None:
    assert set(MEANINGS) == set(ExitCode)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as found:
        yield found


def problem(status: int, code: Code, detail: str) -> tuple[int, bytes]:
    return status, ProblemError(status, code, detail).problem.model_dump_json().encode()


HTML = b"<html><title>\x1b[31mBad Gateway</title></html>"
ANSWERS = {
    "another site": (200, HTML, ExitCode.AWAY, "something else than"),
    "a proxy": (502, HTML, ExitCode.AWAY, "answered 502 without a reason"),
    "another address": (301, b"", ExitCode.AWAY, "answered 301 without a reason"),
    "other JSON": (200, b'{"a": [1]}', ExitCode.AWAY, "something else than"),
    "bytes": (200, bytes(range(256)), ExitCode.AWAY, "something else than"),
    "nothing": (204, b"", ExitCode.AWAY, "something else than"),
    "Postgres away": (
        *problem(503, Code.UNAVAILABLE, "It does not answer: try again."), ExitCode.AWAY, "again",
    ),
    "no key": (*problem(401, Code.UNAUTHORIZED, "Send a key."), ExitCode.NOT_ALLOWED, "Send"),
    "another key": (*problem(403, Code.FORBIDDEN, "Not you."), ExitCode.NOT_ALLOWED, "Not you"),
    "a proxy's login": (401, HTML, ExitCode.NOT_ALLOWED, "401"),
    "a fault": (*problem(500, Code.INTERNAL, "Look at\nits \x1b[31mlog."), ExitCode.FAILED,
                "Look at its [31mlog."),
}  # fmt: skip


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("command", OF_THE_API)
def test_an_answer_that_is_no_success(command: str, answer: str, server: Server) -> None:
    server.status, server.body, code, says = ANSWERS[answer]
    server.headers = (("Connection", "close"),)
    there = ["--url", f"http://127.0.0.1:{server.port}", "--key-file", "a.key"]
    assert says in refused([*OF_THE_API[command], *there], code)


@pytest.mark.parametrize("command", OF_THE_API)
def test_nobody_is_there(command: str) -> None:
    there = ["--url", f"http://127.0.0.1:{free_port()}", "--key-file", "a.key"]
    assert "cannot be reached" in refused([*OF_THE_API[command], *there], ExitCode.AWAY)


def test_a_key_is_not_sent_where_nobody_can_be_trusted(server: Server) -> None:
    there = ["--url", f"https://127.0.0.1:{server.port}", "--key-file", "a.key"]
    assert "http or https" in refused(["jobs", *there], ExitCode.AWAY)


def test_an_encoding_that_is_none(server: Server) -> None:
    server.status, server.body = 200, b"no gzip"
    server.headers = (("Content-Encoding", "gzip"),)
    there = ["--url", f"http://127.0.0.1:{server.port}", "--key-file", "a.key"]
    refused(["jobs", *there], ExitCode.AWAY)


@pytest.mark.parametrize("command", OF_THE_API)
def test_nobody_said_where_the_api_is(command: str) -> None:
    assert "`tapestry up`" in refused(OF_THE_API[command], ExitCode.USAGE)


def test_the_api_is_away_for_a_process_of_the_workers(place: Path) -> None:
    (place / "client.yaml").write_text(CLIENT)
    (place / "work").mkdir()
    given = ["--client-file", "client.yaml", "--work-dir", "work", "--key-file", "a.key"]
    given += ["--url", f"http://127.0.0.1:{free_port()}"]
    for command in (["export", JOB, "--out", "x"], ["shelf", "get", JOB]):
        assert "cannot be reached" in refused([*command, *given], ExitCode.AWAY)


def test_a_place_where_nothing_can_be_written(server: Server) -> None:
    server.status, server.body = 200, HTML
    server.headers = (("Connection", "close"),)
    there = ["--url", f"http://127.0.0.1:{server.port}", "--key-file", "a.key"]
    assert "check the path" in refused(["report", JOB, "--html", "no/x", *there], ExitCode.USAGE)
    assert "a.key" in refused(["results", JOB, "--out", "a.key", *there], ExitCode.USAGE)
