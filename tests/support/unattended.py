"""A stack whose workers a test starts, kills and starts again by itself, fast and without a broker.

The workers are processes of their own that run `worker.__main__.main`, forked from a process that
has imported it already: a start takes no seconds for torch.
"""

import multiprocessing
import os
import sys
import threading
from collections.abc import Mapping
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from cli.stack.processes import Child
from cli.stack.stack import Stack
from shared.crash_points import VARIABLE, WORKER_POINTS
from worker.trainer_process import MODULES

# The planner trains nothing and has no personal state.
PLANNER_POINTS = tuple(name for name in WORKER_POINTS if name != "worker.training")
PLANNER_TRAINER_POINTS = ("trainer.begun", "trainer.computed")

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(MODULES)
_BROKER = "TAPESTRY_REDIS_URL"


class Unattended(Stack):
    """Postgres, API, coordinator and a planner that polls; leases are short."""

    def start_worker(
        self, role: str = "clients", crash: str = "", *, broker: bool = False
    ) -> ForkServerProcess:
        """Start a worker that is to die at a crash point, if one is named."""
        env = self._worker_env("planner" if role == "planner" else "worker", self.settings.clients)
        if broker:
            env[_BROKER] = self._server_env[_BROKER]
        if crash:
            env[VARIABLE] = crash
        log = self.settings.logs / f"{role}.log"
        process = _FORKS.Process(target=_work, args=(role, env, log), daemon=True)
        process.start()
        return process

    def start_command(self) -> Child:
        """Start `tapestry worker --no-broker` as an operator does, although a broker is set."""
        env = super()._worker_env("worker", {}) | {"TAPESTRY_POLL_S": "0.1"}
        files = map(str, self.settings.clients.values())
        command = self._command("worker", ["cli", "worker", "--no-broker", *files], env)
        return self.processes.start(command, self.settings.logs / "worker.log")

    def child(self, name: str) -> Child:
        """The process of the stack with this name."""
        (found,) = (c for c in self._children if c.command.name == f"process {name}")
        return found

    def start_again(self, name: str) -> None:
        """End a process of the stack if it still runs, and start it as it was."""
        old = self.child(name)
        self._children.remove(old)
        self.processes.stop(old)
        new = self.processes.start(old.command, old.log)
        self._children.append(new)
        if name == "api" and not self._api_is_ready(new):
            raise new.failure()

    def start_own_worker(self) -> None:
        """Start a worker that belongs to the stack, as the planner does."""
        self._spawn(
            "worker", ["worker", "clients"], self._worker_env("worker", self.settings.clients)
        )

    def stop_planner(self) -> None:
        """End the stack's own planner."""
        planner = self.child("planner")
        self._children.remove(planner)
        self.processes.stop(planner)

    def start_planner(self) -> None:
        """Start the stack's own planner."""
        self._spawn("planner", ["worker", "planner"], self._worker_env("planner", {}))

    def _start_servers(self) -> None:
        super()._start_servers()
        self._server_env |= {"TAPESTRY_LEASE": "PT3S", "TAPESTRY_RETRY_DELAY": "PT0S"}

    def _start_workers(self) -> None:
        """A test does."""

    def _worker_env(self, name: str, clients: Mapping[str, Path]) -> dict[str, str]:
        env = super()._worker_env(name, clients)
        del env[_BROKER]
        return {**env, "TAPESTRY_POLL_S": "0.1", "TAPESTRY_CHECKPOINT_S": "0"}


def _work(role: str, env: Mapping[str, str], log: Path) -> None:
    from worker.__main__ import main  # noqa: PLC0415  # the process that forks has imported it

    threading.Thread(target=_end_with_parent, daemon=True).start()
    # A worker has a child, which comes from the same forking process: CPython would forbid the one
    # to what is ended with its parent, and start another of the other.
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    own = forkserver._forkserver
    own.ensure_running = forkserver.ensure_running = lambda: None  # type: ignore[method-assign]
    os.environ.update(env)
    with log.open("ab") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    main(role)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
