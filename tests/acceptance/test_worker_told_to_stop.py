"""A worker that is told to stop before it serves anybody ends at once, in peace."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.stack.stack import Stack
from tests.support.patience import wait_for

pytestmark = pytest.mark.acceptance
ROOT = Path(__file__).parents[2]
PROMPTLY_S = 5.0
SIGTERM_BIT = 1 << 14


@contextmanager
def starting(env: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker that is on its way."""
    command = [sys.executable, "-m", "worker", "clients"]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **env}) as worker:
        try:
            yield worker
        finally:
            worker.kill()


def ends_promptly(worker: "subprocess.Popen[bytes]") -> None:
    worker.terminate()
    assert worker.wait(PROMPTLY_S) == 0


def handles_sigterm(pid: int) -> bool:
    found = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
    return found is not None and bool(int(found[1], 16) & SIGTERM_BIT)


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(60)
        yield listening


def address(server: socket.socket) -> str:
    return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def env(stack: Stack, tmp_path: Path) -> dict[str, str]:
    """What a worker of c01 is told."""
    given = stack._worker_env("worker-1", {"c01": stack.settings.clients["c01"]})
    return {**given, "TAPESTRY_WORK_DIR": str(tmp_path)}


def test_while_it_imports(env: dict[str, str]) -> None:
    with starting(env) as worker:
        wait_for(lambda: handles_sigterm(worker.pid))
        ends_promptly(worker)


def test_while_it_waits_for_the_api(env: dict[str, str], silent: socket.socket) -> None:
    with starting({**env, "TAPESTRY_API_URL": f"http://{address(silent)}"}) as worker:
        taken, _ = silent.accept()
        with taken:
            ends_promptly(worker)


def test_while_celery_waits_for_the_broker(env: dict[str, str], silent: socket.socket) -> None:
    with starting({**env, "TAPESTRY_REDIS_URL": f"redis://{address(silent)}/0"}) as worker:
        taken, _ = silent.accept()
        with taken:
            ends_promptly(worker)
