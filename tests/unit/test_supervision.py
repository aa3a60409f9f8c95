"""The child process: it answers, reports, fails, dies and is replaced."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from worker.data.rows import DataError
from worker.supervision import ChildDiedError, Limits, Supervisor, UnexpectedError

pytestmark = [pytest.mark.unit, pytest.mark.timeout(120)]


def build(log: Path) -> Callable[[object, Callable[[float], None]], object]:
    """A handler that counts its requests, and does what it is told."""
    seen = 0

    def handle(request: object, report: Callable[[float], None]) -> object:
        nonlocal seen
        seen += 1
        match request:
            case "count":
                return seen, os.getpid()
            case "report":
                report(0.25)
                time.sleep(0.5)
                return None
            case "hang":
                log.write_text(str(os.getpid()))
                time.sleep(600)
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "data":
                raise DataError("row 3 is torn")
            case "memory":
                raise MemoryError("too large")
            case _:
                raise KeyError("a private value")
        return None

    return handle


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    made = Supervisor(partial(build, tmp_path / "pid"))
    yield made
    made.kill()


def quiet(_: float) -> None:
    """Hear nothing."""


def test_it_keeps_what_it_has_loaded(supervisor: Supervisor) -> None:
    first, second = (supervisor.call("count", quiet) for _ in range(2))
    assert (first[0], second[0]) == (1, 2)
    assert first[1] == second[1] == supervisor.pid != os.getpid()


def test_progress_is_heard(supervisor: Supervisor) -> None:
    heard: list[float] = []
    supervisor.call("report", heard.append)
    assert set(heard) - {0.0} == {0.25}


@pytest.mark.parametrize(
    ("request_", "error", "text"),
    [
        ("data", DataError, "row 3 is torn"),
        ("memory", MemoryError, "too large"),
        ("other", UnexpectedError, "^KeyError$"),
    ],
)
def test_errors_come_back_and_the_child_lives_on(
    supervisor: Supervisor, request_: str, error: type[Exception], text: str
) -> None:
    _, pid = supervisor.call("count", quiet)
    with pytest.raises(error, match=text):
        supervisor.call(request_, quiet)
    assert supervisor.call("count", quiet) == (3, pid)


def test_a_child_that_dies_is_noticed_and_replaced(supervisor: Supervisor) -> None:
    with pytest.raises(ChildDiedError, match="status -9") as caught:
        supervisor.call("die", quiet)
    assert caught.value.code == -signal.SIGKILL
    assert supervisor.call("count", quiet)[0] == 1


def test_a_child_that_died_between_two_requests_is_replaced(supervisor: Supervisor) -> None:
    _, pid = supervisor.call("count", quiet)
    os.kill(pid, signal.SIGKILL)
    assert supervisor._child is not None
    supervisor._child.process.join(30)
    assert supervisor.call("count", quiet)[0] == 1


def test_withdrawn_work_is_killed_at_once(supervisor: Supervisor, tmp_path: Path) -> None:
    class WithdrawnError(Exception):
        pass

    def withdraw(_: float) -> None:
        if (tmp_path / "pid").is_file():
            raise WithdrawnError

    with pytest.raises(WithdrawnError):
        supervisor.call("hang", withdraw)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_it_is_replaced_after_so_many_requests_or_when_it_grew(tmp_path: Path) -> None:
    for limits in (Limits(requests=2), Limits(memory_bytes=1)):
        supervisor = Supervisor(partial(build, tmp_path), limits)
        pids = [supervisor.call("count", quiet)[1] for _ in range(3)]
        supervisor.kill()
        assert pids[2] != pids[0], limits
