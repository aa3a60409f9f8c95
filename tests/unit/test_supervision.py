"""The child process: it answers, reports, fails, dies and is replaced."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

import psutil
import pytest

from shared.messages import FailureCode
from tests.support.patience import wait_for
from worker.data.sources import DataError
from worker.failures import FailedError
from worker.supervision import (
    ChildDiedError,
    Handle,
    Limits,
    Report,
    Supervisor,
    UnexpectedError,
)
from worker.trainer_process import MODULES

ROOT = Path(__file__).parents[2]
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
            case "steps":
                log.write_text(str(os.getpid()))
                while True:
                    time.sleep(0.01)
                    report(0.5)
            case "hang":
                log.write_text(str(os.getpid()))
                time.sleep(600)
            case signal.Signals():
                os.kill(os.getpid(), request)
            case "data":
                raise DataError("row 3 is torn")
            case "disk":
                (log / "a private name").read_bytes()
            case _:
                raise KeyError("a private value")
        return None

    return handle


def broken() -> Handle:
    raise FailedError(FailureCode.INTERNAL, "there is no GPU")


PARENT = """
import sys
from functools import partial
from pathlib import Path
from tests.unit.test_supervision import build
from worker.supervision import Supervisor
Supervisor(partial(build, Path(sys.argv[1]))).call("hang", lambda _: None)
"""


SURVIVOR = """
import os, signal
from functools import partial
from multiprocessing import forkserver
from pathlib import Path
from tests.unit.test_supervision import build, quiet
from worker.supervision import Supervisor
supervisor = Supervisor(partial(build, Path({directory!r})))
def kill(progress):
    os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)
print(supervisor.call("count", quiet)[0])
print(supervisor.call("count", kill)[0])
supervisor.kill()
print(supervisor.call("count", quiet)[0])
supervisor.kill()
"""


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    made = Supervisor(partial(build, tmp_path / "pid"), modules=MODULES)
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
        ("disk", UnexpectedError, "^FileNotFoundError$"),
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


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_child_that_dies_is_noticed_and_replaced(
    supervisor: Supervisor, number: signal.Signals
) -> None:
    with pytest.raises(ChildDiedError, match=f"was killed by {number.name}$") as caught:
        supervisor.call(number, quiet)
    assert not caught.value.out_of_memory
    assert supervisor.call("count", quiet)[0] == 1


def test_a_child_that_the_kernel_killed_for_memory_is_told_apart(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = count(7)  # the kernel's counter goes on while the child dies
    monkeypatch.setattr("worker.supervision.oom_kills", lambda: next(kills))
    for number, expected in ((signal.SIGKILL, True), (signal.SIGSEGV, False)):
        with pytest.raises(ChildDiedError) as caught:
            supervisor.call(number, quiet)
        assert caught.value.out_of_memory is expected


def test_a_child_that_died_between_two_requests_is_replaced(supervisor: Supervisor) -> None:
    _, pid = supervisor.call("count", quiet)
    os.kill(pid, signal.SIGKILL)
    assert supervisor._child is not None
    supervisor._child.process.join(30)
    assert supervisor.call("count", quiet)[0] == 1


class WithdrawnError(Exception):
    pass


def withdraw_once(there: Path) -> Report:
    def heard(_: float) -> None:
        if there.is_file():
            raise WithdrawnError

    return heard


def test_work_that_is_not_wanted_stops_and_the_child_lives_on(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    with pytest.raises(WithdrawnError):
        supervisor.call("steps", withdraw_once(tmp_path / "pid"))
    assert supervisor.call("count", quiet) == (2, int((tmp_path / "pid").read_text()))


def test_work_that_does_not_stop_is_killed(supervisor: Supervisor, tmp_path: Path) -> None:
    with pytest.raises(WithdrawnError):
        supervisor.call("hang", withdraw_once(tmp_path / "pid"))
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_a_child_dies_with_its_parent_whatever_it_does(tmp_path: Path) -> None:
    log = tmp_path / "pid"
    with tempfile.TemporaryDirectory() as sockets:  # which a killed process leaves behind
        env = {**os.environ, "TMPDIR": sockets}
        parent = subprocess.Popen([sys.executable, "-c", PARENT, str(log)], cwd=ROOT, env=env)
        try:
            wait_for(lambda: log.is_file() and bool(log.read_text()))
        finally:
            parent.kill()
            parent.wait()
        wait_for(lambda: not psutil.pid_exists(int(log.read_text())))


def test_the_process_that_forks_may_be_killed_as_well(tmp_path: Path) -> None:
    code = SURVIVOR.format(directory=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.split()) == (0, ["1", "2", "1"]), done.stderr


def test_what_cannot_be_built_says_so_at_each_request() -> None:
    supervisor = Supervisor(broken, modules=MODULES)
    for _ in range(2):
        with pytest.raises(FailedError, match="no GPU"):
            supervisor.call("count", quiet)
    supervisor.kill()


def test_it_is_replaced_after_so_many_requests_or_when_it_grew(tmp_path: Path) -> None:
    for limits in (Limits(requests=2), Limits(memory_bytes=1)):
        supervisor = Supervisor(partial(build, tmp_path), limits, MODULES)
        pids = [supervisor.call("count", quiet)[1] for _ in range(3)]
        supervisor.kill()
        assert pids[2] != pids[0], limits
