"""A real local stack for benchmarks: Postgres with fsync, API, coordinator, planner, workers."""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar
from uuid import UUID

from cli.stack.processes import Child, Processes
from cli.stack.settings import StackSettings
from cli.stack.stack import Stack
from shared.api_client import ApiClient
from shared.states import JOB_TERMINAL, JobState
from shared.views import JobDetail

_JOB_WITHIN_S = 1800.0


class BenchStack(Stack):
    """A stack whose client workers may be another module, and get more environment."""

    worker_module = "worker"
    more_env: ClassVar[Mapping[str, str]] = {}

    def child(self, name: str) -> Child:
        """A running process of the stack, its servers included."""
        return next(c for c in self.processes.children if name in c.command.name)

    def _spawn(self, name: str, module: list[str], env: Mapping[str, str]) -> Child:
        if module == ["worker", "clients"]:
            module = [self.worker_module, "clients"]
            env = {**env, **self.more_env}
        return super()._spawn(name, module, env)


@contextmanager
def workplace() -> Iterator[tuple[Processes, Path]]:
    """Processes and a directory that leave nothing behind."""
    with Processes() as processes:
        yield processes, processes.own_directory(Path(tempfile.mkdtemp(prefix="tapestry-bench-")))


def settings(root: Path, files: list[Path], n_workers: int) -> StackSettings:
    """A durable stack below `root`."""
    return StackSettings(root / "state", root / "logs", tuple(files), n_workers=n_workers)


def finished(api: ApiClient, job: UUID) -> JobDetail:
    """The job once it has succeeded. Raises RuntimeError when it ends otherwise."""
    end = time.monotonic() + _JOB_WITHIN_S
    while (now := api.job(job)).state not in JOB_TERMINAL:
        if time.monotonic() > end:
            raise RuntimeError(f"the job is still {now.state} in round {now.round}")
        time.sleep(0.5)
    if now.state is not JobState.SUCCEEDED:
        raise RuntimeError(f"the job ended {now.state}: {now.failure}")
    return now


def cpu_seconds(pid: int) -> float:
    """CPU time that the process and all that it started have used so far, ended ones included."""
    ticks = sum(sum(_times(each)) for each in descendants(pid))
    return ticks / os.sysconf("SC_CLK_TCK")


def _times(pid: int) -> list[int]:
    """utime, stime and those of children that have ended, in clock ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return [int(each) for each in fields[11:15]]


def descendants(pid: int) -> list[int]:
    """The process and all that it started and that still run."""
    found = [pid]
    for each in found:
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            found.extend(map(int, task.read_text(encoding="ascii").split()))
    return found


def load_average() -> str:
    """The machine's load, which says how alone the benchmark was."""
    return " ".join(f"{each:.1f}" for each in os.getloadavg())
