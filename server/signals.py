"""How a server process ends when it is told to: with status 0, at any moment of its life."""

import signal
import sys


def exit_on_signals() -> None:
    """Let SIGTERM and SIGINT end the process, its `finally` blocks included.

    Call it first: uvicorn and Celery put handlers of their own in place while they serve.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit())
