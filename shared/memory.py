"""Memory of processes that serve for months: it must not creep with the work that they do."""

import ctypes
import gc
import sys

# Parameters of glibc's mallopt, from its malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_ARENAS = 2
_LARGE_BYTES = 1536 << 10  # above a chunk of a stream, below the table of names
_KEPT_BYTES = 4 << 20
_PASSING_NAMES = 400_000  # more than a table of the largest size, a trainer's, has places
_names = [""]


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
    """Have Python's table of interned strings at the size that it keeps.

    Each part of a path passes through it. When as many have come and gone as it has places it is
    made anew, for three times what it holds then, rounded up to a power of two. Without help ours
    hold 35,000 to 45,000 once all is imported, a trainer 136,000 (CPython 3.11): about the boundary
    of 43,690, so that it was now 2 MB and now 4 MB. With 20,000 more they lie well between two.
    """
    _names[:] = [sys.intern(f"kept name {number}") for number in range(20_000)]
    for number in range(_PASSING_NAMES):
        sys.intern(f"name {number}")
