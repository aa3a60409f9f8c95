"""Named places at which a test has this process killed, to prove that a kill there does no harm."""

import os
import signal
from collections import Counter

VARIABLE = "TAPESTRY_CRASH_POINT"
"""NAME:HIT, such as worker.trained:2; unset but in tests. Several are separated by commas.

NAME:HIT@N is for the process's N-th child alone, from 1.
"""

WORKER_POINTS = (
    "worker.answered",  # the server has leased the assignment, the journal does not know
    "worker.claimed",
    "worker.pulled",  # all files that it takes are here
    "worker.training",  # once for each progress that the trainer tells
    "worker.computed",  # the trainer has answered, the journal does not know
    "worker.trained",
    "worker.uploading",  # once in each piece of the stream
    "worker.sent",  # the server has all bytes, the journal does not know
    "worker.uploaded",
    "worker.reported",  # the server has accepted, the journal does not know
    "worker.accepted",
    "worker.promoted",
)
TRAINER_POINTS = (
    "trainer.begun",
    "trainer.training",  # once in each optimizer step
    "trainer.checkpoint",  # a checkpoint is written, its name is not there yet
    "trainer.computed",  # all files of the result are written, the worker does not know
)

# Transactions of the coordinator, the outbox (of either server) and the API: each may be killed
# when all is written and not committed, and when it is committed and nobody knows.
COORDINATOR_COMMITS = (
    "coordinator.due",
    "coordinator.step",  # opens, extends and closes rounds, takes one to aggregate, ends jobs
    "coordinator.renew",
    "coordinator.publish",  # and opens what follows
    "coordinator.suspect",
    "coordinator.hint",
    "coordinator.collect",  # the file is gone before the commit
)
OUTBOX_COMMITS = ("outbox.claim", "outbox.settle")
API_COMMITS = (
    "api.offer",
    "api.submit",
    "api.claim",
    "api.take_over",
    "api.heartbeat",
    "api.catalogue",
    "api.announce",
    "api.record",
    "api.refusal",
    "api.result",
    "api.failure",
    "api.release",
    "api.pause",
    "api.resume",
    "api.fork",
    "api.cancel",
)


def _around(commits: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{name}.{when}" for name in commits for when in ("written", "committed"))


OUTBOX_POINTS = (*_around(OUTBOX_COMMITS), "outbox.sent")  # one message, not yet marked
COORDINATOR_POINTS = (
    *_around(COORDINATOR_COMMITS),
    "coordinator.averaged",  # one component
    "coordinator.aggregated",  # all of them
    *OUTBOX_POINTS,
)
API_POINTS = (
    *_around(API_COMMITS),
    "api.received",  # once in each piece of an upload
    "api.whole",  # all bytes of an upload are here
    "api.checked",
    "store.renaming",  # a component's file is durable, under another name
    "store.renamed",  # the file is there, its row is not
    *OUTBOX_POINTS,
)
SERVER_POINTS = tuple(dict.fromkeys((*COORDINATOR_POINTS, *API_POINTS)))

_hits: Counter[str] = Counter()


def crash_point(name: str) -> None:
    """Kill this process, as `kill -9` does, if this hit of the point is the one asked for."""
    wanted = os.environ.get(VARIABLE)
    if wanted is None:
        return
    _hits[name] += 1
    if f"{name}:{_hits[name]}" in wanted.split(","):
        os.kill(os.getpid(), signal.SIGKILL)


def of_child(number: int) -> str:
    """What this process's child of that number is to be given as VARIABLE."""
    mark = f"@{number}"
    points = os.environ.get(VARIABLE, "").split(",")
    return ",".join(point.removesuffix(mark) for point in points if point.endswith(mark))
