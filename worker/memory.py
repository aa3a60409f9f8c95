"""What the kernel says about memory."""

from pathlib import Path

import psutil

_COUNTERS = Path("/proc/vmstat")


def oom_kills() -> int:
    """How many processes the kernel has killed for want of memory since this machine started.

    0 where the kernel does not say.
    """
    try:
        lines = _COUNTERS.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def taken_bytes() -> int:
    """What this process has in memory, less pages of files: those the kernel drops when in need.

    So pixels of large splits do not count, which are mapped. Where the system does not tell such
    pages apart (only Linux does), they count.
    """
    taken = psutil.Process().memory_info()
    return int(taken.rss - getattr(taken, "shared", 0))
