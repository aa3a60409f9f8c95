"""`make crash-points`: each named point alone, at its first and at its second hit.

A job runs beside each kill and must end with the versions, decisions and scores of an undisturbed
one; at the end every invariant must hold over all that has happened.
"""

import argparse
import os
import shlex
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from shared.crash_points import API_POINTS, COORDINATOR_POINTS, TRAINER_POINTS, WORKER_POINTS
from tests.support import federation
from tests.support.disturbed import Disturbed, disturbed
from tests.support.figures import Row, show
from tests.support.unattended import PLANNER_POINTS, PLANNER_TRAINER_POINTS

HITS = (1, 2)
WITHIN_S = 600
POINTS = {
    "worker": WORKER_POINTS,
    "trainer": TRAINER_POINTS,
    "planner": PLANNER_POINTS,
    "planner's trainer": PLANNER_TRAINER_POINTS,
    "coordinator": COORDINATOR_POINTS,
    "API": API_POINTS,
}


def kill_all(stack: Disturbed, names: Sequence[str]) -> list[Row]:
    """Kill these processes at every point; the rows of the figures."""
    rows: list[Row] = []
    ways: dict[str, Callable[[str], None]] = {
        "worker": stack.worker,
        "trainer": stack.trainer,
        "planner": stack.planner,
        "planner's trainer": stack.planner_trainer,
        "coordinator": lambda kill: stack.server("coordinator", [kill], WITHIN_S),
        "API": lambda kill: stack.server("api", [kill], WITHIN_S),
    }
    for name in names:
        for point in POINTS[name]:
            for hit in HITS:
                print(f"{name} at {point}:{hit}", flush=True)
                ways[name](f"{point}:{hit}")
        n = len(POINTS[name])
        rows.append((f"points of the {name}, killed at the 1st and the 2nd hit", f"{n} of {n}"))
    return rows


def main() -> None:
    """Kill at every point, and print what it came to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=POINTS, help="these processes; no record")
    only: Sequence[str] = parser.parse_args().only or []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tapestry-crash-points-") as root:
        files = federation.write(Path(root) / "federation")
        with disturbed(Path(root), files) as stack:
            rows = kill_all(stack, only or list(POINTS))
            stack.check()
            rows.append(("jobs that ended with the undisturbed hashes", stack.n_jobs))
    rows.append(("invariants broken", 0))
    rows.append(("minutes", round((time.monotonic() - began) / 60)))
    command = f"python -m tests.chaos.crash_points --only {shlex.join(only)}"
    record = os.environ.get("RECORD") == "1" and not only
    show("crash points", command if only else "make crash-points", rows, record=record)


if __name__ == "__main__":
    main()
