"""How fast an assignment trains: told with its result, so that later jobs can be foreseen."""

import time
from collections.abc import Callable

from shared.results import Pace

Progress = Callable[[int], None]


class Pacemaker:
    """Counts the optimizer steps of an assignment's trainings, and times those that are made here.

    What an earlier process made before a kill counts and is not timed.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._steps = self._timed = 0
        self._seconds = 0.0

    def begin(self, steps: int) -> None:
        """A training of so many steps comes next, or was finished before."""
        self._steps += steps

    def timing(self, on_step: Progress) -> Progress:
        """The same, noting how long each step took; the first one's time begins now."""
        last = self._clock()

        def noted(done: int) -> None:
            nonlocal last
            now = self._clock()
            self._seconds += now - last
            self._timed += 1
            last = now
            on_step(done)

        return noted

    @property
    def pace(self) -> Pace | None:
        """What is to be told; None where no step was timed."""
        if not self._timed:
            return None
        return Pace(steps=self._steps, step_seconds=self._seconds / self._timed)
