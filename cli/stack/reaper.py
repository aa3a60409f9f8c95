"""Cleans up after a launcher that died without doing so itself, even by SIGKILL; stdlib only.

Reads JSON lines from its launcher: `{"watch": [pid, signal]}`, `{"forget": pid}`,
`{"directory": path}`. At the end of the input, which is the launcher's end whatever caused it,
stops the process groups that are still watched and removes the directories.
"""

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

GRACE_S = 8.0


def main(lines: Iterable[str]) -> None:
    """Follow the launcher's lines, then clean up."""
    watched: dict[int, int] = {}
    directories: set[str] = set()
    for line in lines:
        follow(json.loads(line), watched, directories)
    stop_all(watched)
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


def follow(message: dict[str, object], watched: dict[int, int], directories: set[str]) -> None:
    """Apply one line to what is known."""
    match message:
        case {"watch": [int(pid), int(number)]}:
            watched[pid] = number
        case {"forget": int(pid)}:
            watched.pop(pid, None)
        case {"directory": str(path)}:
            directories.add(path)


def stop_all(watched: dict[int, int]) -> None:
    """Ask every process to stop, wait a little, then kill each group, newest first."""
    for pid, number in reversed(watched.items()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    end = time.monotonic() + GRACE_S
    while time.monotonic() < end and any(alive(pid) for pid in watched):
        time.sleep(0.05)
    for pid in watched:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended but that nobody has waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return not Path("/proc/self").exists() and _answers(pid)
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)  # only the launcher's end counts
    main(sys.stdin)
