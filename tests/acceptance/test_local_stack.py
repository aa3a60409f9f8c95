"""`tapestry up` with everything real: it serves, starts again warm, and ends without a trace."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.stack.reaper import alive

pytestmark = pytest.mark.acceptance
ROOT = Path(__file__).parents[2]
CLIENT = """
client: c01
tasks:
  mood:
    kind: text_classification
    modalities: [text]
    classes: [bad, good]
    train: data.jsonl
    validation: data.jsonl
    test: data.jsonl
"""


def wait_for(condition: Callable[[], bool], within_s: float = 120.0) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def tapestry(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "cli", *arguments]


@contextmanager
def running(place: Path, *more: str) -> Iterator["subprocess.Popen[str]"]:
    """The stack, until the block ends; its processes must be gone then."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        tapestry("up", "--state", ".tapestry/local", *more),
        cwd=place,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as launcher:
        try:
            yield launcher
        finally:
            launcher.terminate()


def began(launcher: "subprocess.Popen[str]") -> dict[int, str]:
    """Wait for the line that says where the API is; everything that runs then."""
    assert launcher.stdout is not None
    for line in launcher.stdout:
        if line.startswith("API at"):
            return children(launcher.pid)
    assert launcher.stderr is not None
    raise AssertionError(launcher.stderr.read())


def children(launcher: int) -> dict[int, str]:
    """The command of each process that the launcher started."""
    listing = subprocess.run(
        ["ps", "-wweo", "ppid=,pid=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = (line.split(maxsplit=2) for line in listing.splitlines())
    return {int(pid): command for parent, pid, command in rows if int(parent) == launcher}


def gone(processes: dict[int, str]) -> bool:
    return not any(map(alive, processes))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a space in its path and one client."""
    place = tmp_path / "a place"
    client = place / "clients" / "c01"
    client.mkdir(parents=True)
    (client / "client.yaml").write_text(CLIENT)
    rows = [{"text": f"a {mood} day", "label": mood} for mood in ("bad", "good")]
    (client / "data.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return place


def test_it_serves_and_ends_without_a_trace_and_starts_again(place: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def clients() -> str:
        command = tapestry("clients")
        done = subprocess.run(
            command, cwd=place, env=environment, text=True, capture_output=True, check=True
        )
        return done.stdout

    with running(place, "--clients", "clients") as launcher:
        started = began(launcher)
        wait_for(lambda: "mood (2)" in clients())
        launcher.send_signal(signal.SIGINT)
        assert launcher.wait(60) == 130
    assert gone(started)
    assert not (place / ".tapestry" / "local" / "stack.json").exists()

    with running(place, "--clients", "clients") as launcher:  # warm, with the keys of before
        started = began(launcher)
        assert "c01" in clients()
        launcher.kill()  # it cannot clean up by itself
    wait_for(lambda: gone(started), within_s=30)


def test_processes_that_die_are_started_again(place: Path) -> None:
    def serving() -> set[int]:
        found = children(launcher.pid).items()
        return {pid for pid, command in found if alive(pid) and "reaper.py" not in command}

    with running(place, "--clients", "clients") as launcher:
        began(launcher)
        killed = serving()
        assert len(killed) == 6  # Postgres, Valkey, API, coordinator, planner, worker
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: len(serving() - killed) == 6)
        started = children(launcher.pid)
        launcher.send_signal(signal.SIGINT)
        assert launcher.wait(60) == 130
        assert launcher.stdout is not None
        said = launcher.stdout.read()
    for name in ("Postgres", "Valkey", "process api", "process coordinator", "process worker-1"):
        assert re.search(rf"{name} ended with status -9; see .*: it is started again\n", said)
    assert gone(started)


def test_a_detached_stack_is_ended_by_its_own_process_alone(place: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = tapestry(*arguments)
        return subprocess.run(
            command, cwd=place, env=environment, text=True, capture_output=True, check=False
        )

    up = run("up", "--detach", "--clients", "clients")
    try:
        assert up.returncode == 0, up.stderr
        assert re.fullmatch(r"API at http://\S+, keys in .*; its log is .*up.log\n", up.stdout)
        launcher = json.loads((place / ".tapestry" / "local" / "lock").read_text())["pid"]
        started = children(launcher)
        assert len(started) >= 6
        assert "mood (2)" in run("clients").stdout  # at once: a job could be submitted
        again = run("up", "--detach", "--clients", "clients")
        assert (again.returncode, again.stdout) == (1, "")
        assert "end it by `tapestry down`" in again.stderr
        assert run("clients").returncode == 0  # the first one serves on
    finally:
        down = run("down")
    assert (down.returncode, down.stderr) == (0, "")
    assert gone({launcher: "the launcher", **started})
    assert not (place / ".tapestry" / "local" / "stack.json").exists()
    assert "no stack runs" in run("down").stdout


@pytest.mark.long
def test_a_detached_stack_whose_client_cannot_be_served_says_why(place: Path) -> None:
    (place / "clients" / "c01" / "data.jsonl").unlink()
    done = subprocess.run(
        tapestry("up", "--detach", "--clients", "clients"),
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "data.jsonl" in done.stderr


def test_a_detached_stack_that_cannot_start_says_why(place: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            tapestry("up", "--detach", "--port", port),
            cwd=place,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
            capture_output=True,
            check=False,
        )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"tapestry: port {port} of 127.0.0.1 is in use: end the program that listens there, or "
        "choose another --port\n"
    )
