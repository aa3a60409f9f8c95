"""Which process runs the stack of a state directory, and how another one ends it.

The stack's process holds a lock on a file and has written into it who it is: its number, and when
it was started, since numbers are given again. Both must hold before anything is sent to it.
"""

import fcntl
import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cli.stack.errors import StackError

NOTE = "stack.json"  # where the stack's API is, while it is ready
_LOCK = "lock"
_LOOK_S = 0.1
END_WITHIN_S = 90.0  # workers, then the servers one after the other


@dataclass(frozen=True)
class Launcher:
    """The process that started a stack and ends it in order."""

    pid: int
    began: str


def take(state: Path) -> IO[str] | None:
    """The lock of the state directory, until it is closed; None when somebody has it."""
    lock = (state / _LOCK).open("a+", encoding="ascii")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock


def sign(lock: IO[str]) -> None:
    """Write down that this process holds the lock."""
    lock.truncate(0)
    lock.write(json.dumps({"pid": os.getpid(), "began": began(os.getpid())}))
    lock.flush()


def taken(state: Path) -> str:
    """What is said to whoever would start a second one."""
    return (
        f"another stack runs with the state in {state}: end it by `tapestry down`, or choose "
        "another --state"
    )


def launcher(state: Path) -> Launcher | None:
    """Who runs the stack of this state; None when nobody does. Raises StackError when unknown."""
    if not (state / _LOCK).is_file():
        return None
    lock = take(state)
    if lock is not None:
        (state / NOTE).unlink(missing_ok=True)  # of one that was killed
        lock.close()
        return None
    found = _signature(state)
    if found is None or not found.began or began(found.pid) != found.began:
        raise StackError(
            f"a stack runs with the state in {state}, and it is not known which process it is: "
            "end it where it was started"
        )
    return found


def end(state: Path) -> bool:
    """End the stack of this state and wait until all of it is gone; False when none ran.

    Raises StackError when it does not end, or may not be ended by this user.
    """
    found = launcher(state)
    if found is None:
        return False
    _tell(found)
    limit = time.monotonic() + END_WITHIN_S
    while began(found.pid) == found.began:
        if time.monotonic() > limit:
            raise StackError(
                f"the stack's process {found.pid} has not ended within {END_WITHIN_S:.0f} s: look "
                f"at the logs in {state / 'logs'}"
            )
        time.sleep(_LOOK_S)
    return True


def began(pid: int) -> str:
    """When a process was started, as its system tells it; empty when it is not there any more."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return "" if Path("/proc/self").exists() else _began_elsewhere(pid)
    state, *rest = stat.rpartition(")")[2].split()
    return "" if state in {"Z", "X"} else rest[18]  # ticks since the machine was started


def _began_elsewhere(pid: int) -> str:
    """The same on a system without /proc."""
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _signature(state: Path) -> Launcher | None:
    try:
        said = json.loads((state / _LOCK).read_text(encoding="ascii"))
        return Launcher(int(said["pid"]), str(said["began"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _tell(found: Launcher) -> None:
    """Ask the process to end, by a handle that can mean no other where the system has them."""
    handle = _handle(found.pid)
    try:
        if began(found.pid) != found.began:
            return
        if handle is None:
            os.kill(found.pid, signal.SIGTERM)
        else:
            signal.pidfd_send_signal(handle, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise StackError(
            f"the stack's process {found.pid} is another user's: end it as that user"
        ) from error
    finally:
        if handle is not None:
            os.close(handle)


def _handle(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None
