"""What the kernel says about memory."""

from pathlib import Path

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
