"""`tapestry up --detach`: the same command in a session of its own, until it is ready."""

import os
import subprocess
import sys
import time
from pathlib import Path

from cli.stack import private, running
from cli.stack.errors import StackError
from cli.stack.settings import StackSettings
from shared.terminal import one_line

THERE = "clients are there: "  # said once a job can be submitted
_LOOK_S = 0.1
_END_WITHIN_S = 60.0


def start(settings: StackSettings, clients: Path | None) -> Path:
    """Start the stack and return its log, once it is ready.

    Raises StackError with its last words where it ends instead. Whoever is interrupted meanwhile
    ends it.
    """
    private.directory(settings.state)
    if running.launcher(settings.state) is not None:
        raise StackError(running.taken(settings.state))
    log = private.directory(settings.logs) / "up.log"
    child = _launch(settings, clients, log)
    try:
        while not _ready(log, bool(settings.clients)):
            if child.poll() is not None:
                raise StackError(_last_words(log))
            time.sleep(_LOOK_S)
    except KeyboardInterrupt:
        child.terminate()
        child.wait(_END_WITHIN_S)
        raise
    child.returncode = 0  # it goes on without us
    return log


def _launch(settings: StackSettings, clients: Path | None, log: Path) -> "subprocess.Popen[bytes]":
    arguments = ["--state", str(settings.state), "--workers", str(settings.n_workers)]
    arguments += [] if clients is None else ["--clients", str(clients)]
    for option, port in (("--port", settings.port), ("--metrics-port", settings.metrics_port)):
        arguments += [] if port is None else [option, str(port)]
    private.write(log, "")
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "cli", "up", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )


def _ready(log: Path, with_clients: bool) -> bool:
    """Whether it has said that the API and its clients are ready."""
    wanted = ("API at ", *([THERE] if with_clients else []))
    lines = _lines(log)
    return all(any(line.startswith(each) for line in lines) for each in wanted)


def _last_words(log: Path) -> str:
    said = next((one_line(line) for line in reversed(_lines(log)) if line.strip()), "")
    return said.removeprefix("tapestry: ") or f"the stack ended without a word: see {log}"


def _lines(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines()
