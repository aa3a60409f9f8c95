"""Named places at which a test has this process killed, to prove that a kill there does no harm."""

import os
import signal
from collections import Counter

VARIABLE = "TAPESTRY_CRASH_POINT"  # NAME:HIT, such as worker.trained:2; unset but in tests

WORKER_POINTS = (
    "worker.answered",  # the server has leased the assignment, the journal does not know
    "worker.claimed",
    "worker.training",  # once in each optimizer step
    "worker.computed",  # all files are written, the journal does not know
    "worker.trained",
    "worker.uploading",  # once in each piece of the stream
    "worker.sent",  # the server has all bytes, the journal does not know
    "worker.uploaded",
    "worker.reported",  # the server has accepted, the journal does not know
    "worker.accepted",
    "worker.promoted",
)

_hits: Counter[str] = Counter()


def crash_point(name: str) -> None:
    """Kill this process, as `kill -9` does, if this hit of the point is the one asked for."""
    wanted = os.environ.get(VARIABLE)
    if wanted is None:
        return
    _hits[name] += 1
    if wanted == f"{name}:{_hits[name]}":
        os.kill(os.getpid(), signal.SIGKILL)
