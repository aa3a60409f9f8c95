"""`make state-machine STEPS=300000 SEED=1`: the state machine over the real Postgres, for long.

A step is a call of the service, after which I1 to I9 are held against the log, the rows and the
files: by a reference, by the watchdog's queries, and by reading each file when a row first refers
to it and when it was written to. Now and then the checker of all tests looks as well, which reads
every file and makes every version again out of the files.

As many processes play as there are cores, each with a Postgres of its own; what is played depends
on the seed alone.
"""

import argparse
import itertools
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from pathlib import Path
from signal import SIGKILL
from typing import Any

from cli.signals import Stopped, ending_on_signals
from cli.stack import postgres
from cli.stack.guard import die_with_launcher
from cli.stack.processes import Processes
from tests.support.figures import Row, show
from tests.support.machine.arena import Arena, arena
from tests.support.machine.base import Figures
from tests.support.machine.play import play

_RUNS = 20  # with one seed, between two lines of progress
_KEPT: dict[str, Arena] = {}  # in a playing process
_OPEN = ExitStack()


def main() -> None:
    """Play until there are enough steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", action="store_true")
    asked = parser.parse_args()
    try:
        with ending_on_signals():
            figures, seconds = _play_all(asked.seed * 1_000_000, asked.steps)
    except Stopped as stopped:
        sys.exit(stopped.exit_code)
    command = f"make state-machine STEPS={asked.steps} SEED={asked.seed}"
    show("state machine", command, _rows(figures, seconds), record=asked.record)


def _play_all(first: int, steps: int) -> tuple[Figures, float]:
    """What was done in so many steps, and in how many seconds."""
    figures, begin = Figures(), time.monotonic()
    with _players() as players:
        for number, found in _played(players, first, lambda: figures.steps >= steps):
            figures.add(found)
            spent = time.monotonic() - begin
            print(f"{figures.steps} steps, {spent:.0f} s, seed {number}", flush=True)
    return figures, spent


@contextmanager
def _players() -> Iterator[ProcessPoolExecutor]:
    """Processes that play; nothing of them stays."""
    n, spawn = os.cpu_count() or 1, multiprocessing.get_context("spawn")
    with Processes() as processes:
        directory = processes.own_directory(Path(tempfile.mkdtemp(prefix="tapestry-machine-")))
        places = spawn.SimpleQueue()
        for number in range(n):
            place = directory / str(number)
            server = postgres.start(processes, place / "postgres", durable=False)
            places.put((server.url(), place / "artifacts"))
        pool = ProcessPoolExecutor(n, spawn, _begin, (os.getpid(), places))
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)


def _begin(parent: int, places: Any) -> None:
    die_with_launcher(parent, SIGKILL)
    _KEPT["arena"] = _OPEN.enter_context(arena(*places.get()))


def _play(number: int) -> Figures:
    figures = Figures()
    play(_KEPT["arena"], figures, number, _RUNS)
    return figures


def _played(
    players: ProcessPoolExecutor, first: int, enough: Callable[[], bool]
) -> Iterator[tuple[int, Figures]]:
    """Seeds one after the other, as they are done, with all that were begun when it is enough.

    Raises what a run raised, shrunk.
    """
    numbers = itertools.count(first)
    begun: dict[Future[Figures], int] = {}
    while begun or not enough():
        while len(begun) < (os.cpu_count() or 1) and not enough():
            number = next(numbers)
            begun[players.submit(_play, number)] = number
        for done in wait(begun, return_when=FIRST_COMPLETED).done:
            yield begun.pop(done), done.result()


def _rows(figures: Figures, seconds: float) -> list[Row]:
    return [
        ("steps, I1 to I9 held against log, rows and files after each", figures.steps),
        (
            "files read after steps: each when a row first refers to it, or it was written to",
            figures.checks["files"],
        ),
        (
            "versions computed again from what clients sent, when they appear",
            figures.checks["versions"],
        ),
        (
            "the checker of all tests, over the whole database and all files",
            figures.checks["whole database"],
        ),
        ("invariants broken, answers 5xx, jobs that did not end", 0),  # else there is no table
        ("runs, each played until every job has ended", figures.ends["runs"]),
        ("jobs by how they ended", _said({k: n for k, n in figures.ends.items() if k != "runs"})),
        ("faults met by calls between their transactions", _said(figures.faults)),
        ("rules", _said(figures.rules)),
        ("answers", _said(figures.answers)),
        ("minutes", f"{seconds / 60:.0f} ({figures.steps / seconds:.0f} steps a second)"),
    ]


def _said(counts: dict[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {n}" for name, n in ordered)


if __name__ == "__main__":
    main()
