"""Every command of `tapestry`, and that what is wrong ends it with one sentence."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import UUID

import pytest
from typer.testing import CliRunner

import cli.connection
import cli.watching
from cli.main import app
from server import examples
from shared.exits import ExitCode

JOB = str(UUID(int=7))
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


def workplace(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the commands run: a spec and a key are there, and nobody waits."""
    monkeypatch.chdir(directory)
    monkeypatch.setattr(cli.connection, "PATIENCE_S", 0.0)
    monkeypatch.setattr(cli.watching, "_SILENT_S", 0.0)
    (directory / "job.json").write_text(json.dumps(examples.JOB_SPEC))
    (directory / "a.key").write_text("tap_1a2b3c4d_EXAMPLE\n")


def refused(arguments: list[str], code: ExitCode) -> str:
    """The one line that a command ends with, and with this code."""
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith("tapestry: ")
    assert "Traceback" not in line
    assert line.isprintable()
    return line


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server(ThreadingHTTPServer):
    """Answers every request alike."""

    daemon_threads = True
    status = 200
    body = b""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
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


@contextmanager
def serving() -> Iterator[Server]:
    """Such a server, running."""
    with Server(("127.0.0.1", 0), _Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()
