"""What a worker does when it is told to stop."""

import signal
from collections.abc import Callable

STOPPED = 130  # what a command that was told to stop ends with


def when_told_to_stop(act: Callable[[], object]) -> None:
    """Call `act` at SIGTERM and SIGINT from now on."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: act())
