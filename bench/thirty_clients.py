"""Thirty clients on one machine: do their rounds end without errors, in what time and memory?

`make bench-rounds` runs it. Everything is real, training included, on small made-up data: once
with one worker process that hosts all thirty, then with several processes. Memory is the sum of
the workers' proportional set sizes (a shared page counts once), looked at twice a second.
"""

import argparse
import sys
import threading
import time
from pathlib import Path
from typing import Self

from bench.stacks import (
    BenchStack,
    descendants,
    finished,
    load_average,
    settings,
    workplace,
)
from shared.job_spec import JobSpec
from shared.states import AssignmentState
from tests.support import federation, small

TASKS = ("digits", "reviews", "titles")


def clients_of(n: int) -> dict[str, tuple[str, ...]]:
    """So many clients, each with one task."""
    return {f"c{i:02}": (TASKS[i % len(TASKS)],) for i in range(n)}


def spec_of(n: int, n_rounds: int) -> JobSpec:
    """A job with all of them in each round."""
    tasks = {task: small.SPEC["tasks"][task] for task in TASKS}
    rounds = {"count": n_rounds, "deadline": "PT30M"}
    return small.spec(name=f"{n} clients", clients=list(clients_of(n)), tasks=tasks, rounds=rounds)


class Memory:
    """The most memory that all workers together had."""

    def __init__(self, stack: BenchStack) -> None:
        self.peak_bytes = 0
        self._stack = stack
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        workers = [
            c.process.pid for c in self._stack.processes.children if "worker" in c.command.name
        ]
        while not self._end.wait(0.5):
            now = sum(_pss_bytes(each) for pid in workers for each in descendants(pid))
            self.peak_bytes = max(self.peak_bytes, now)


def _pss_bytes(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0  # it has ended
    (line,) = (each for each in text.splitlines() if each.startswith("Pss:"))
    return int(line.split()[1]) * 1024


def run(n: int, n_workers: int, n_rounds: int) -> bool:
    """Run a job and print what it took; whether every assignment passed at the first attempt."""
    with workplace() as (processes, root):
        files = federation.write(root / "clients", clients_of(n))
        began = time.monotonic()
        with BenchStack(processes, settings(root, files, n_workers)) as stack:
            stack.wait_for_offers()
            ready_s = time.monotonic() - began
            with stack.client() as api, Memory(stack) as memory:
                began = time.monotonic()
                job = finished(api, api.submit(spec_of(n, n_rounds), "thirty").id)
                seconds = time.monotonic() - began
                rows = [a for r in api.rounds(job.id) for a in r.assignments]
    clean = all(a.state is AssignmentState.ACCEPTED and a.attempt == 1 for a in rows)
    print(
        f"{n} clients in {n_workers} worker processes: ready after {ready_s:.0f} s, job of "
        f"{n_rounds} rounds in {seconds:.1f} s, {len(rows)} assignments, at the first attempt: "
        f"{clean}, workers' memory at most {memory.peak_bytes / 1e9:.2f} GB"
    )
    return clean


def main() -> None:
    """Print both cases; exit with 1 if an assignment needed a second attempt."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 30])
    given = parser.parse_args()
    print(f"load average before: {load_average()}")
    clean = [run(given.clients, each, given.rounds) for each in given.workers]
    print(f"load average after: {load_average()}")
    sys.exit(int(not all(clean)))


if __name__ == "__main__":
    main()
