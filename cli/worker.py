"""`tapestry worker`: finds out what a worker must be told, and becomes one.

The command line never imports torch, so the worker takes the place of this process.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from cli.connection import Connection
from cli.exits import FailedError, UsageError
from cli.stack.settings import by_name
from shared.secret_files import file_of

_BROKER = "TAPESTRY_REDIS_URL"
TOLD_HERE = frozenset(
    {"TAPESTRY_KEY", "TAPESTRY_KEY_FILE", "TAPESTRY_KEYS_DIR", "TAPESTRY_CLIENT_FILES"}
)


@dataclass(frozen=True)
class WorkerWish:
    """What the command was asked for."""

    files: Sequence[Path]
    planner: bool
    broker: bool
    work_dir: Path
    keys_dir: Path | None


def environment(
    wish: WorkerWish, connection: Connection, given: Mapping[str, str]
) -> dict[str, str]:
    """The worker's environment, made from the one that is given. Raises UsageError, StackError."""
    if wish.planner == bool(wish.files):
        raise UsageError("name the client files to serve, or pass --planner alone")
    told = {
        **connection.of_worker(wish.keys_dir),
        "TAPESTRY_WORK_DIR": str(wish.work_dir),
        "TAPESTRY_CLIENT_FILES": ",".join(map(str, by_name(wish.files).values())),
    }
    left_out = TOLD_HERE if wish.broker else {*TOLD_HERE, _BROKER, file_of(_BROKER)}
    return {name: value for name, value in given.items() if name not in left_out} | told


def become(wish: WorkerWish, connection: Connection) -> NoReturn:
    """Turn this process into the worker. Raises UsageError, StackError."""
    env = environment(wish, connection, os.environ)
    need_packages()
    role = "planner" if wish.planner else "clients"
    os.execve(sys.executable, [sys.executable, "-m", "worker", role], env)  # noqa: S606 - a fixed program, no shell


def need_packages() -> None:
    """Raises FailedError where the worker is not installed."""
    if find_spec("torch") is None:
        raise FailedError(
            "the worker's packages are not installed here: run pip install '.[worker]' in "
            "Tapestry's checkout"
        )
