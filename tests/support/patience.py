"""Waiting for what another thread or process does."""

import time
from collections.abc import Callable


def wait_for(
    condition: Callable[[], object], within_s: float = 60, why: Callable[[], object] = str
) -> None:
    """Wait until the condition holds; `why` says what it lacks where that takes too long."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, why()
        time.sleep(0.02)
