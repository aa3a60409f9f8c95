"""Memory of processes that serve for months: it must not creep with the work that they do."""

import ctypes
import gc
import sys

# Parameters of glibc's mallopt, from its malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_ARENAS = 2
_LARGE_BYTES = 1536 << 10  # above a chunk of a stream, below the table of names
_KEPT_BYTES = 4 << 20
_NAMES = 400_000  # more than the 174,762 that the largest table seen, a trainer's, holds


def settle() -> None:
    """Call once when all is imported, before threads begin.

    What is there now is no garbage: without it a collection of the rest is quick, so that it comes
    often and little waits for it. Threads share few of glibc's arenas; otherwise each of the eight
    per core keeps what its busiest moment took. What is large goes back to the system once it is
    free; otherwise glibc, having seen one such block, takes the next ones from between small ones,
    and each leaves a hole: Python's table of interned strings is such a block, made anew whenever
    as many names have come and gone as it has places.
    """
    gc.collect()
    gc.freeze()
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:  # other C libraries have none
        mallopt(_M_ARENA_MAX, _ARENAS)
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    widen_names()


def widen_names() -> None:
    """Have Python's table of interned strings as large as it will ever be.

    Each path of an artifact passes through it. It grows once, by 2 or 4 MB, when as many names have
    come and gone as it has places: after a minute or after a week, where it would look like a leak.
    """
    for number in range(_NAMES):
        sys.intern(f"name {number}")
