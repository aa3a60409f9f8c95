"""Who averages a round: whoever looks at its job, at once, or a thread beside them."""

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Protocol, Self

from sqlalchemy.exc import SQLAlchemyError

from shared import logs

_log = logging.getLogger(__name__)
_MOST = 4  # rounds in hand; their components are averaged in turn
_END_S = 10.0


class Averaging(Protocol):
    """Runs what averages a round."""

    @property
    def busy(self) -> bool:
        """Whether no more rounds should be taken now."""

    def run(self, work: Callable[[], object]) -> None:
        """Run it, now or soon; an error of it is raised, or logged."""


class AtOnce:
    """In the caller's own time: for whoever has nothing else to do, such as tests."""

    busy = False

    def run(self, work: Callable[[], object]) -> None:
        """Run it, and raise its errors."""
        work()


class Beside:
    """In threads, so that one round's long average does not hold up the deadlines of others.

    A context manager; in the end it waits a moment for what is in hand. What takes longer is left:
    its lease ends, and another coordinator begins again.
    """

    def __init__(self) -> None:
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._running():
            thread.join(_END_S)

    @property
    def busy(self) -> bool:
        """Whether as many rounds are in hand as may be."""
        return len(self._running()) >= _MOST

    def run(self, work: Callable[[], object]) -> None:
        """Run it in a thread, and log its errors: the round's job is looked at again."""
        thread = logs.thread(partial(_logged, work), "averaging")
        with self._lock:
            thread.start()
            self._threads = {*self._running(), thread}

    def _running(self) -> set[threading.Thread]:
        return {thread for thread in self._threads if thread.is_alive()}


def _logged(work: Callable[[], object]) -> None:
    try:
        work()
    except SQLAlchemyError as error:
        _log.warning("the database did not let a round be averaged now: %s", error)
    except Exception:  # noqa: BLE001  # logged; the timer looks at the job again
        _log.exception("a round could not be averaged")
