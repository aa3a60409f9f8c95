"""`make crash-points`: each named point alone, at its first and at its second hit.

A job runs beside each kill and must end with the versions, decisions and scores of an undisturbed
one; at the end every invariant must hold over all that has happened.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from shared.crash_points import API_POINTS, COORDINATOR_POINTS, TRAINER_POINTS, WORKER_POINTS
from tests.support import federation
from tests.support.disturbed import Disturbed, disturbed
from tests.support.figures import Row, show

HITS = (1, 2)
WITHIN_S = 600
COMMAND = "make crash-points"


def kill_all(stack: Disturbed) -> list[Row]:
    """Kill at every point; the rows of the figures."""
    rows: list[Row] = []
    ways: dict[str, tuple[tuple[str, ...], Callable[[str], None]]] = {
        "worker": (WORKER_POINTS, stack.worker),
        "trainer": (TRAINER_POINTS, stack.trainer),
        "coordinator": (COORDINATOR_POINTS, lambda k: stack.server("coordinator", [k], WITHIN_S)),
        "API": (API_POINTS, lambda k: stack.server("api", [k], WITHIN_S)),
    }
    for name, (points, kill) in ways.items():
        for point in points:
            for hit in HITS:
                print(f"{name} at {point}:{hit}", flush=True)
                kill(f"{point}:{hit}")
        n = len(points)
        rows.append((f"points of the {name}, killed at the 1st and the 2nd hit", f"{n} of {n}"))
    return rows


def main() -> None:
    """Kill at every point, and print what it came to."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tapestry-crash-points-") as root:
        files = federation.write(Path(root) / "federation")
        with disturbed(Path(root), files) as stack:
            rows = kill_all(stack)
            stack.check()
            rows.append(("jobs that ended with the undisturbed hashes", stack.n_jobs))
    rows.append(("invariants broken", 0))
    rows.append(("minutes", round((time.monotonic() - began) / 60)))
    show("crash points", COMMAND, rows, record=os.environ.get("RECORD") == "1")


if __name__ == "__main__":
    main()
