"""What ends unasked is started again, unless it ends again and again."""

import errno
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from cli.stack.errors import StackError
from cli.stack.keeper import Keeper
from cli.stack.processes import Child, Command, Processes

pytestmark = pytest.mark.unit


def start(processes: Processes, log: Path, code: str) -> Child:
    return processes.start(Command("The child", [sys.executable, "-c", code]), log)


def test_a_killed_child_is_replaced_and_stopped_at_the_end(tmp_path: Path) -> None:
    said: list[str] = []
    with Processes() as processes:
        child = start(processes, tmp_path / "log", "import time; time.sleep(60)")
        with Keeper(processes, said.append) as keeper:
            first = child.process.pid
            os.kill(first, signal.SIGKILL)
            end = time.monotonic() + 20
            while child.process.pid == first:
                assert time.monotonic() < end
                time.sleep(0.02)
            keeper.check()
            assert not child.ended
    assert said == [f"The child ended with status -9; see {tmp_path}/log: it is started again"]
    assert child.ended


def use_up(keeper: Keeper) -> None:
    """Wait until it gives up, and meet the consequences."""
    with keeper:
        keeper._thread.join()
        raise ConnectionError


def test_a_child_that_does_not_stay_up_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    said: list[str] = []
    with Processes() as processes:
        start(processes, tmp_path / "log", "import sys; sys.exit('no such table')")
        keeper = Keeper(processes, said.append)
        with pytest.raises(StackError, match=r"ended with status 1; see .*: no such table$"):
            use_up(keeper)
        with pytest.raises(StackError):
            keeper.check()
    assert len(said) == 5


def test_a_child_that_cannot_be_started_again_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: object) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    with Processes() as processes:
        start(processes, tmp_path / "log", "pass")
        monkeypatch.setattr(processes, "start_again", no_memory)
        keeper = Keeper(processes, lambda _: None)
        with pytest.raises(StackError, match=r"cannot be started again: .*Cannot allocate memory"):
            use_up(keeper)
