"""`python -m tests.chaos.forker ENDS`: forks processes of the service, for tests.chaos.forks.

Reads a wish of one line of JSON, forks, answers with the pid, and reads a line that says that the
pid has been used: until then the fork is not reaped, so that the pid is its own even if it ends at
once. The forks die with it, even while they are stopped, and it dies with whoever started it. How
each ended is appended to ENDS.
"""

import ctypes
import faulthandler
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import traceback
from contextlib import suppress
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from cli.stack.guard import die_with_launcher
from server import background
from server import main as api
from worker import __main__ as worker
from worker.trainer_process import MODULES

_REAPING = (signal.SIGCHLD,)


def main(ends: Path) -> None:
    """Fork for each wish until the input ends."""
    if threading.active_count() != 1:
        sys.exit("an import has started a thread: forks would be broken")
    tempfile.tempdir = str(ends.parent)  # it is killed in the end, and cleans up nothing
    _begin_training()
    signal.signal(signal.SIGCHLD, lambda *_: _reap(ends))
    parent = os.getpid()
    for line in sys.stdin:
        wish = json.loads(line)
        signal.pthread_sigmask(signal.SIG_BLOCK, _REAPING)
        pid = os.fork()
        if pid == 0:
            os._exit(_live(parent, wish))
        print(pid, flush=True)
        sys.stdin.readline()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _REAPING)


def _begin_training() -> None:
    """Let all workers share the process that forks their training processes: torch is slow."""
    multiprocessing.set_forkserver_preload([*MODULES, "tests.chaos.forker"])
    forkserver.ensure_running()
    own = forkserver._forkserver
    own.ensure_running = forkserver.ensure_running = lambda: None  # type: ignore[method-assign]


def _reap(ends: Path) -> None:
    with suppress(ChildProcessError), ends.open("a") as file:
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            file.write(f"{ended[0]} {os.waitstatus_to_exitcode(ended[1])}\n")


def _live(parent: int, wish: dict[str, Any]) -> int:
    """The fork's whole life; returns its status."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _REAPING)
        os.setsid()
        die_with_launcher(parent, signal.SIGKILL)
        _redirect(wish["log"])
        os.environ.update(wish["env"])
        faulthandler.register(signal.SIGUSR2, all_threads=True)
        if "LD_PRELOAD" in os.environ:
            ctypes.CDLL(None).follow(wish["machine"].encode())
        sys.argv = [wish["role"]]
        _begin(wish["role"])
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  # the interpreter would print it too
        traceback.print_exc()
        return 1
    return 0


def _redirect(log: str) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    file = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    for source, target in ((nothing, 0), (file, 1), (file, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(file)


def _begin(role: str) -> None:
    match role:
        case "API":
            api.main()
        case "coordinator":
            background.main()
        case "worker":
            worker.main("clients")
        case _:
            worker.main(role)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
