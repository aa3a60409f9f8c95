"""`make state-machine STEPS=300000 SEED=1`: the state machine over the real Postgres, for long.

A step is a call of the service, after which all invariants are checked.
"""

import argparse
import tempfile
import time
from pathlib import Path

from cli.stack import postgres
from cli.stack.processes import Processes
from tests.support.figures import Row, show
from tests.support.machine.arena import arena
from tests.support.machine.base import Figures
from tests.support.machine.play import play

_RUNS = 20  # between two lines of progress; each has a seed of its own


def main() -> None:
    """Play until there are enough steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", action="store_true")
    asked = parser.parse_args()
    figures, begin = Figures(), time.monotonic()
    with Processes() as processes:
        directory = processes.own_directory(Path(tempfile.mkdtemp(prefix="tapestry-machine-")))
        server = postgres.start(processes, directory / "postgres", durable=False)
        with arena(server.url(), directory / "artifacts") as made:
            batch = 0
            while figures.steps < asked.steps:
                number = asked.seed * 1_000_000 + batch
                play(made, figures, number, _RUNS)
                batch += 1
                spent = time.monotonic() - begin
                print(f"{figures.steps} steps, {spent:.0f} s, last seed {number}", flush=True)
    command = f"make state-machine STEPS={asked.steps} SEED={asked.seed}"
    show("state machine", command, _rows(figures, time.monotonic() - begin), record=asked.record)


def _rows(figures: Figures, seconds: float) -> list[Row]:
    return [
        ("steps, all invariants checked after each", figures.steps),
        ("the whole database and all files checked", figures.checks["whole database"]),
        ("versions computed again from what clients sent", figures.checks["versions"]),
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
