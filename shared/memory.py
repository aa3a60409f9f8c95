"""Memory of processes that serve for months: it must not creep with the work that they do."""

import ctypes
import gc
import sys

_M_ARENA_MAX = -8  # of glibc's malloc.h
_ARENAS = 2
_NAMES = 400_000  # more than the 174,762 that the largest table seen, a trainer's, holds


def settle() -> None:
    """Call once when all is imported, before threads begin.

    What is there now is no garbage: without it a collection of the rest is quick, so that it comes
    often and little waits for it. Threads share few of glibc's arenas; otherwise each of the eight
    per core keeps what its busiest moment took.
    """
    gc.collect()
    gc.freeze()
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have no arenas
        if mallopt is not None:
            mallopt(_M_ARENA_MAX, _ARENAS)
    widen_names()


def widen_names() -> None:
    """Have Python's table of interned strings as large as it will ever be.

    Each path of an artifact passes through it. It grows once, by 2 or 4 MB, when as many names have
    come and gone as it has places: after a minute or after a week, where it would look like a leak.
    """
    for number in range(_NAMES):
        sys.intern(f"name {number}")
