"""Disks that fail: strace makes a running process's system calls end with an error."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

_INJECTED = b"(INJECTED)"
_WITHIN_S = 5


@cache
def impossible() -> str:
    """Why nothing can be injected here; empty where it can."""
    if shutil.which("strace") is None:
        return "no strace here"
    command = ["strace", "-qq", "-o", os.devnull, "-e", "inject=fsync:error=EIO", "true"]
    done = subprocess.run(command, capture_output=True, check=False)
    return "" if done.returncode == 0 else "strace may not trace here"


def inject(pid: int, what: str, directory: Path) -> Callable[[], bool]:
    """Make the process's calls fail from now on; returns what ends it and says whether one did."""
    handle, name = tempfile.mkstemp(dir=directory, prefix="strace-")
    os.close(handle)
    call = what.partition(":")[0]
    options = ["-f", "-qq", "-o", name, "-e", f"trace={call}", "-e", f"inject={what}"]
    process = subprocess.Popen(
        ["strace", *options, "-p", str(pid)], stderr=subprocess.DEVNULL, start_new_session=True
    )

    def end() -> bool:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        hit = _INJECTED in Path(name).read_bytes()
        Path(name).unlink()
        return hit

    return end
