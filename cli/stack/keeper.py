"""Starts a process of the stack again when it ends unasked: a kill costs a moment, not the work."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from types import TracebackType
from typing import Self

from cli.stack.errors import StackError
from cli.stack.processes import Child, Processes

_LOOK_S = 0.2
_MOST_ENDS = 5  # of one process within the time below: then it is not an accident
_WITHIN_S = 60.0


class Keeper:
    """Keeps children running while the block runs. A context manager.

    It looks from a thread of its own, so that a caller who waits for an answer is served too.
    """

    def __init__(self, processes: Processes, say: Callable[[str], None] = print) -> None:
        self._processes = processes
        self._say = say
        self._ends: defaultdict[Child, list[float]] = defaultdict(list)
        self._due: dict[Child, float] = {}  # when each that has ended is started again
        self._failure: StackError | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._thread.join()
        if isinstance(error, Exception):
            self.check()  # it is the cause

    def check(self) -> None:
        """Raises StackError when a child does not stay up."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._closing.wait(_LOOK_S):
                for child in list(self._processes.children):
                    if child.ended:
                        self._bring_back(child, time.monotonic())
        except StackError as error:
            self._failure = error
        except OSError as error:
            self._failure = StackError(f"A process that ended cannot be started again: {error}")

    def _bring_back(self, child: Child, now: float) -> None:
        """Start it again at once, and less and less so when it ends again."""
        if child not in self._due:
            self._due[child] = now + self._pause_s(child, now)
        if now >= self._due[child]:
            del self._due[child]
            self._processes.start_again(child)

    def _pause_s(self, child: Child, now: float) -> float:
        """For how long the child is left alone. Raises StackError when it ends too often."""
        ends = [*(end for end in self._ends[child] if now - end < _WITHIN_S), now]
        self._ends[child] = ends
        failure = child.failure()
        if len(ends) > _MOST_ENDS:
            raise failure
        self._say(f"{failure}: it is started again")
        return _LOOK_S * float(2 ** len(ends) - 2)
