"""Whatever is wrong, each command ends with one sentence, the right exit code and no traceback."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import UUID

import pytest
import typer
from typer.testing import CliRunner

import cli.connection
import cli.watching
from cli.exits import MEANINGS
from cli.main import app
from server import examples
from server.errors import ProblemError
from shared.exits import ExitCode
from shared.problem_codes import Code

pytestmark = pytest.mark.unit

JOB = str(UUID(int=7))
TASK = (
    "{kind: text_classification, modalities: [text], classes: [a, b], data: x, split: {test: 0.5}}"
)
CLIENT = f"client: c01\ntasks:\n  t: {TASK}\n"
OF_THE_API = {
    "submit": ["submit", "job.json"],
    "watch": ["watch", JOB],
    "why": ["why", JOB],
    "jobs": ["jobs"],
    "rounds": ["rounds", JOB],
    "report": ["report", JOB],
    "benefits": ["benefits", JOB],
    "compare": ["compare", JOB, f"{JOB}:engaged"],
    "pause": ["pause", JOB],
    "resume": ["resume", JOB],
    "cancel": ["cancel", JOB],
    "fork": ["fork", JOB, "--round", "1", "--spec", "job.json"],
    "distil": ["distil", JOB],
    "onboard": ["onboard", JOB, "c9"],
    "clients": ["clients"],
    "register": ["register", "c9"],
    "page": ["page"],
    "results": ["results", JOB, "--out", "results"],
    "mlflow": ["mlflow", JOB, "--tracking-uri", "sqlite:///mlflow.db"],
    "shelf list": ["shelf", "list", JOB],
    "shelf delete": ["shelf", "delete", JOB, "--all"],
    "keys list": ["keys", "list"],
    "keys create": ["keys", "create", "--scope", "viewer"],
    "keys revoke": ["keys", "revoke", "1a2b3c4d"],
}
OF_THE_MACHINE = (
    *("up", "down", "demo", "doctor", "worker", "export", "predict"),
    *("shelf get", "shelf put"),
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli.connection, "PATIENCE_S", 0.0)
    monkeypatch.setattr(cli.watching, "_SILENT_S", 0.0)
    (tmp_path / "job.json").write_text(json.dumps(examples.JOB_SPEC))
    (tmp_path / "a.key").write_text("tap_1a2b3c4d_EXAMPLE\n")
    return tmp_path


def refused(arguments: list[str], code: ExitCode) -> str:
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith("tapestry: ")
    assert "Traceback" not in line
    assert line.isprintable()
    return line


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


class Server(ThreadingHTTPServer):
    """Answers every request alike."""

    daemon_threads = True
    status = 200
    body = b""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Handler(BaseHTTPRequestHandler):
    server: Server

    def handle_one_request(self) -> None:
        super().handle_one_request()
        self.close_connection = True

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.server.status)
        for name, value in self.server.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.server.body)

    do_GET = do_POST = do_DELETE = do_PUT = answer  # noqa: N815 - the library's names

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


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


@pytest.mark.parametrize("command", [*OF_THE_API, *OF_THE_MACHINE])
def test_an_option_that_there_is_not(command: str) -> None:
    said = refused([*command.split(), "--bogus"], ExitCode.USAGE)
    assert "No such option: --bogus" in said
    assert f"{command} --help`" in said


WITH_A_JOB = [name for name, arguments in OF_THE_API.items() if JOB in arguments]


@pytest.mark.parametrize("given", ["", "x", JOB[:-1], "'; drop table jobs; --", "\x1b[31m", "😀"])
@pytest.mark.parametrize("command", [*WITH_A_JOB, "export"])
def test_an_id_that_is_none(command: str, given: str) -> None:
    arguments = OF_THE_API.get(command, ["export", JOB, "--out", "x", "--client", "c"])
    refused([given if each == JOB else each for each in arguments], ExitCode.USAGE)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8000",
        "ftp://there",
        "http://",
        "http://[::1",
        "http://a:b",
        "x y",
        "http://\x1b",
    ],
)
def test_an_address_that_is_none(url: str) -> None:
    refused(["jobs", "--url", url, "--key-file", "a.key"], ExitCode.USAGE)


FILES: dict[str, Callable[[Path], object]] = {
    "absent": lambda _: None,
    "a directory": Path.mkdir,
    "in no directory": lambda path: path.parent.write_text("a file"),
    "a loop": lambda path: path.symlink_to(path),
    "empty": Path.touch,
    "bytes": lambda path: path.write_bytes(bytes(range(256))),
    "zeros": lambda path: path.write_bytes(b"\0" * 5000),
    "a text": lambda path: path.write_text("just \x1b[31mwords"),
    "a list": lambda path: path.write_text("[1, 2]"),
    "half": lambda path: path.write_text('{"name": '),
    "deep": lambda path: path.write_text("[" * 20_000),
    "no day": lambda path: path.write_text("name: 2026-13-45"),
    "a number as a key": lambda path: path.write_text("1: 2"),
    "two keys": lambda path: path.write_text("tap_a_b\ntap_c_d\n"),
    "a letter": lambda path: path.write_text("tap_1a2b3c4d_\u00fc"),
}
USES = {
    "submit": ["submit", "BAD"],
    "fork": ["fork", JOB, "--round", "1", "--spec", "BAD"],
    "worker": ["worker", "BAD", "--key-file", "a.key", "--url", "http://127.0.0.1:1"],
    "export": ["export", JOB, "--out", "x", "--client-file", "BAD"],
    "key": ["jobs", "--url", "http://127.0.0.1:1", "--key-file", "BAD"],
}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("use", USES)
def test_a_file_that_is_not_what_it_should_be(place: Path, use: str, file: str) -> None:
    name = "bad/file" if file == "in no directory" else "bad"
    FILES[file](place / name)
    if use == "key" and file in {"half", "deep", "a list"}:
        (place / name).write_text("several words")
    refused([name if each == "BAD" else each for each in USES[use]], ExitCode.USAGE)


def test_a_file_that_is_wrong_in_a_process_of_the_workers(place: Path) -> None:
    (place / "bad.yaml").write_text("client: c01\ntasks: {}\n")
    for file in ("nope.yaml", "a.key", "bad.yaml"):
        assert file in refused(["doctor", file], ExitCode.USAGE)
    assert "is no exported model" in refused(["predict", "nodir"], ExitCode.USAGE)
    there = ["--url", f"http://127.0.0.1:{free_port()}", "--key-file", "a.key"]
    refused(["shelf", "get", JOB, "--client-file", "bad.yaml", *there], ExitCode.USAGE)


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


@pytest.mark.parametrize("directory", ["absent", "a.key", "."])
def test_a_directory_without_clients(directory: str) -> None:
    refused(["up", "--clients", directory], ExitCode.USAGE)


def test_a_state_that_is_no_directory() -> None:
    refused(["up", "--state", "a.key"], ExitCode.USAGE)
    refused(["up", "--state", "a.key", "--detach"], ExitCode.USAGE)


@pytest.mark.parametrize(
    "arguments",
    [
        ["wach", JOB],
        ["--bogus"],
        ["watch", JOB, "again"],
        ["watch", JOB, "--give-up", "soon"],
        ["jobs", "--limit", "0"],
        ["jobs", "--limit", "many"],
        ["jobs", "--state", "lost"],
        ["jobs", "--url"],
        ["fork", JOB, "--round", "-1", "--spec", "job.json"],
        ["fork", JOB, "--spec", "job.json"],
        ["distil", JOB, "--weight", "x", "--url", "http://127.0.0.1:1", "--key", "k"],
        ["up", "--port", "70000"],
        ["up", "--workers", "0"],
        ["up", "--demo", "--clients", "."],
        ["up", "--json"],
        ["submit", "job.json", "--idempotency-key", "two words"],
        ["submit", "job.json", "--idempotency-key", "\u00e9"],
        ["predict"],
        ["predict", "x", "--beams", "0"],
        ["worker", "--planner", "job.json"],
        ["export", JOB, "--out", "x"],
        ["export", JOB, "--out", "x", "--variant", "best"],
        ["keys", "creat"],
    ],
)
def test_options_that_cannot_be(arguments: list[str]) -> None:
    refused(arguments, ExitCode.USAGE)


def test_without_a_command_the_help_says_which_there_are() -> None:
    for arguments in ([], ["keys"]):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == ExitCode.USAGE
        assert "Usage:" in result.stdout
