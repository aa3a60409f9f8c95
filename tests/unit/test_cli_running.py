"""Which process a stack is, and that nobody else is ever ended for it. With real processes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.stack import running
from cli.stack.errors import StackError

pytestmark = pytest.mark.unit
ROOT = Path(__file__).parents[2]
HOLDS = """
import sys, time
from pathlib import Path
from cli.stack import running
lock = running.take(Path(sys.argv[1]))
running.sign(lock)
print("held", flush=True)
time.sleep(600)
"""
SIGNATURES = [
    "",
    "{",
    "[1]",
    '{"pid": "x", "began": "1"}',
    '{"pid": 999999999, "began": "1"}',
    '{"pid": 999999999, "began": ""}',
]


@contextmanager
def process(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, *arguments]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) as started:
        try:
            yield started
        finally:
            started.kill()


@contextmanager
def holder(state: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that runs a stack of that state, as far as anybody can see."""
    with process("-c", HOLDS, str(state)) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "held\n"
        yield started


@pytest.fixture
def stranger() -> Iterator["subprocess.Popen[str]"]:
    """Somebody else's process."""
    with process("-c", "import time; time.sleep(600)") as started:
        yield started


def down(state: Path) -> str:
    result = CliRunner().invoke(app, ["down", "--state", str(state)])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_process_that_holds_the_lock_is_ended(tmp_path: Path) -> None:
    with holder(tmp_path) as launcher:
        found = running.launcher(tmp_path)
        assert found is not None
        assert found.pid == launcher.pid
        assert down(tmp_path) == f"the stack with the state in {tmp_path} has ended\n"
        assert launcher.wait() == -15
    assert running.launcher(tmp_path) is None


def test_where_nothing_runs_it_is_said(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "absent"):
        assert down(place) == f"no stack runs with the state in {place}\n"


def test_a_note_of_a_stack_that_was_killed_goes(tmp_path: Path) -> None:
    (tmp_path / running.NOTE).write_text("{}")
    with holder(tmp_path) as launcher:
        launcher.kill()
        launcher.wait()
    assert "no stack runs" in down(tmp_path)
    assert not (tmp_path / running.NOTE).exists()


def test_a_stranger_whose_number_was_noted_is_left_alone(
    tmp_path: Path, stranger: "subprocess.Popen[str]"
) -> None:
    signature = {"pid": stranger.pid, "began": running.began(stranger.pid)}
    (tmp_path / "lock").write_text(json.dumps(signature))
    assert "no stack runs" in down(tmp_path)  # nobody holds the lock
    assert stranger.poll() is None


def test_a_stranger_who_was_given_the_number_is_left_alone(
    tmp_path: Path, stranger: "subprocess.Popen[str]"
) -> None:
    with holder(tmp_path) as launcher:
        signature = {"pid": stranger.pid, "began": running.began(launcher.pid) + "0"}
        (tmp_path / "lock").write_text(json.dumps(signature))
        result = CliRunner().invoke(app, ["down", "--state", str(tmp_path)])
        assert result.exit_code == 1
        assert "end it where it was started" in result.stderr
        running._tell(running.Launcher(stranger.pid, str(signature["began"])))
        assert (launcher.poll(), stranger.poll()) == (None, None)


@pytest.mark.parametrize("signature", SIGNATURES)
def test_who_has_not_signed_is_left_alone(tmp_path: Path, signature: str) -> None:
    with holder(tmp_path) as launcher:
        (tmp_path / "lock").write_text(signature)
        with pytest.raises(StackError, match="not known which process"):
            running.end(tmp_path)
        assert launcher.poll() is None


def test_an_ended_process_that_nobody_has_waited_for_has_ended(
    stranger: "subprocess.Popen[str]",
) -> None:
    assert running.began(stranger.pid)
    stranger.kill()
    assert stranger.stdout is not None
    stranger.stdout.read()
    while running.began(stranger.pid):
        pass
    assert stranger.returncode is None
