"""A server process that is killed at each of the given points in turn, and started again each time.

Like the workers of tests.support.unattended it is forked from a process that has imported its code.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Self

from shared.crash_points import VARIABLE
from tests.support import unattended
from tests.support.unattended import Unattended
from worker.trainer_process import MODULES as TRAINING

KILLED = -9
SERVERS = {"api": "server.main", "coordinator": "server.background"}

unattended._FORKS.set_forkserver_preload([*TRAINING, *SERVERS.values()])


class Mortal:
    """Lives of one server, one after the other, in place of the stack's own. A context manager.

    Each life but the last ends at its own point, and the next begins at once.
    """

    def __init__(self, stack: Unattended, name: str, kills: Sequence[str]) -> None:
        self.deaths: list[tuple[str, int | None]] = []  # point and exit code
        self._stack = stack
        self._name = name
        self._kills = kills
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        self._ending = False

    def __enter__(self) -> Self:
        child = self._stack.child(self._name)
        self._stack._children.remove(child)
        self._stack.processes.stop(child)
        self._env, self._log = dict(child.command.env), child.log
        self._process = self._begin()
        self._born = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give the stack a process of its own again."""
        self._ending = True
        self._process.terminate()
        self._thread.join(30)
        assert not self._process.is_alive()
        self._stack._spawn(self._name, [SERVERS[self._name]], self._env)

    @property
    def armed(self) -> str:
        """The point at which the present life is to end; empty in the last."""
        return self._kills[len(self.deaths)] if len(self.deaths) < len(self._kills) else ""

    def die(self, act: Callable[[], object], within_s: float) -> None:
        """Act again and again until all deaths have happened."""
        end = time.monotonic() + within_s
        while self.armed:
            act()
            assert time.monotonic() < end, f"{self.armed} is not reached"
            assert all(code == KILLED for _, code in self.deaths), self.deaths
        assert [point for point, _ in self.deaths] == list(self._kills)

    def _begin(self) -> ForkServerProcess:
        env = {**self._env, VARIABLE: self.armed}
        arguments = (SERVERS[self._name], env, self._log)
        process = unattended._FORKS.Process(target=_serve, args=arguments, daemon=True)
        process.start()
        return process

    def _live(self) -> None:
        while True:
            self._process.join()
            if self._ending or not self.armed:
                return
            print(f"{time.monotonic() - self._born:6.1f} s  {self.armed}")  # noqa: T201  # progress
            self.deaths.append((self.armed, self._process.exitcode))
            self._process = self._begin()


def _serve(module: str, env: Mapping[str, str], log: Path) -> None:
    threading.Thread(target=unattended._end_with_parent, daemon=True).start()
    os.environ.update(env)
    with log.open("ab") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    logging.captureWarnings(capture=True)
    import_module(module).main()
