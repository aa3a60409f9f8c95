"""The whole machine: every rule, all invariants, and how each run ends."""

import sys
from collections import Counter
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from shared.states import JOB_TERMINAL, JobState
from tests.support import invariants
from tests.support.machine.arena import CLIENTS, PLANNER, Arena
from tests.support.machine.base import Figures
from tests.support.machine.coordinators import Coordinators
from tests.support.machine.operators import Json, Operators, specs
from tests.support.machine.reference import need

_MOST_TURNS = 150  # of an undisturbed service, until every job has ended
_MOST_SERVED = 1000  # things that one worker does before time passes
_SETTLING = timedelta(seconds=31)  # a killed coordinator's job is due again by then


class Machine(Coordinators, Operators):
    """A federation that everything happens to."""

    @invariant()
    def everything_holds(self) -> None:
        self.observe()

    @initialize(first=st.lists(specs(), min_size=1, max_size=3), planned=st.booleans())
    def begin(self, first: list[Json], planned: bool) -> None:
        """Some jobs, planned or not."""
        for spec in first:
            self.submit(spec, None)
            self.observe()
        for job in list(self.reference.jobs.values()) if planned else ():
            self.looks_at(0, job)
            while self.serves(PLANNER, 0):
                self.observe()
            self.looks_at(1, job)

    @rule(which=st.integers(0, 1))
    def settle(self, which: int) -> None:
        """Every timer runs once, undisturbed; then the whole checker looks, the watchdog too."""
        self.step("settle")
        self._run_timers(which)
        self.arena.clock.pass_(_SETTLING)
        self._run_timers(which)
        self.check_all()

    def _run_timers(self, which: int) -> None:
        for name in ("leases", "hints", "advance", "abandoned"):
            self.runs(which, name)
        self.observe()
        self.forget_uploads()

    def check_all(self) -> None:
        """The checker of all tests, over the whole database and the files."""
        context = self.arena.coordinators[0]
        invariants.check(context.sessions, context.store)
        self.figures.checks["whole database"] += 1

    def teardown(self) -> None:
        """Faults stop: every job must come to its end, and all that was accepted must be in it."""
        try:
            if sys.exc_info()[0] is None:  # not behind a rule that has failed
                self._end_all()
        finally:
            super().teardown()

    def _end_all(self) -> None:
        self.step("end")
        for each in list(self.frozen):
            self.thaw_one(each)
            self.observe()
        self.forget_uploads()
        turns = 0
        while self._open_jobs():
            turns += 1
            need(turns <= _MOST_TURNS, f"I7 {self._open_jobs()} never end")
            self._turn()
        self.settle(0)
        self.figures.ends.update(Counter(job.state for job in self.reference.jobs.values()))
        self.figures.ends["runs"] += 1

    def _open_jobs(self) -> list[str]:
        jobs = self.reference.jobs.values()
        return [f"{job.id} ({job.state})" for job in jobs if job.state not in JOB_TERMINAL]

    def _turn(self) -> None:
        """Everybody does what there is to do, then a minute passes."""
        for job in self.reference.jobs.values():
            if job.state is JobState.PAUSED:
                self.asks(job, "resume")
                self.observe()
        for name in ("leases", "advance"):
            self.runs(0, name)
            self.observe()
        for who in (PLANNER, *CLIENTS):
            self._serves_all(who)
        self.arena.clock.pass_(timedelta(seconds=61))

    def _serves_all(self, who: str) -> None:
        for _ in range(_MOST_SERVED):
            if not self.serves(who, 1):
                return
            self.observe()
        raise AssertionError(f"{who} is never done")


def machine_on(arena: Arena, figures: Figures) -> type[Machine]:
    """The machine on that arena."""
    return type("Federation", (Machine,), {"arena": arena, "figures": figures})
