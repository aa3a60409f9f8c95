"""Rules of two coordinators, of messages between them, and of time."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import rule

from server.context import Context
from server.jobs.advance import advance
from server.outbox import dispatch, prune
from server.timer import advance_due_jobs, hint_again, suspect_missed_leases
from server.updates.service import drop_abandoned
from server.upkeep.collect import collect_shard, drop_parts
from server.upkeep.scrub import scrub
from shared.states import JobState, RoundState
from shared.wakeups import ADVANCE
from tests.support.machine.base import PICK, Faults, Frozen, chosen
from tests.support.machine.calls import Course, Fault, KilledError
from tests.support.machine.reference import need
from tests.support.machine.rows import Job
from tests.support.machine.serving import Serving

WHICH = st.integers(0, 1)
LATE = st.sampled_from([*[None] * 6, *[(Fault.FREEZE, at) for at in range(1, 14)],
                        *[(f, at) for f in Fault for at in (1, 2, 4, 8)]])  # fmt: skip
TIMES = st.sampled_from([0.5, 1, 2, 3, 5, 10, 31, 61, 61, 120, 301, 700, 3700])


def collect(context: Context) -> None:
    """A whole pass of the collector: all directories, and the parts."""
    for path in sorted(context.store.root.iterdir()):
        if path.name != "parts":
            collect_shard(context, path.name)
    drop_parts(context)


LOOPS: dict[str, Callable[[Context], object]] = {
    "leases": suspect_missed_leases,
    "hints": hint_again,
    "advance": advance_due_jobs,
    "abandoned": drop_abandoned,
    "collect": collect,
    "scrub": lambda context: list(scrub(context)),
    "prune": lambda context: prune(context.sessions),
}


class Coordinators(Serving):
    """Two of them; one may be frozen in the middle of something."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[tuple[str, str]] = []  # (task, argument) in the broker

    def does(self, which: int, name: str, work: Callable[[Context], object], fault: Faults) -> bool:
        """Have a coordinator do something; whether it did it undisturbed."""
        context = self.arena.coordinators[which]
        if fault is None:
            work(context)
            return True
        running = self.arena.working(Course(*fault), partial(work, context))
        name = f"coordinator {which}: {name}"
        if not running.ended():
            self._met(running)
            self.frozen.append(Frozen(running, name, lambda _: None))
            return False
        try:
            running.result()
        except KilledError:
            pass
        except Exception as error:
            cut = "the connection was cut" in str(error)
            need(cut, f"{name}: {type(error).__name__}: {error}")
            if not cut:
                raise
        if running.course.met:
            self._met(running)
        return not running.course.met

    @rule(which=WHICH, pick=PICK, fault=LATE)
    def hear(self, which: int, pick: int, fault: Faults) -> None:
        """A message, or anybody, has a coordinator look at a job."""
        self.step("hear of a job")
        job = chosen(pick, list(self.reference.jobs.values()))
        if job is None:
            return
        self.looks_at(which, job, fault)

    def looks_at(self, which: int, job: Job, fault: Faults = None) -> None:
        """Advance the job; undisturbed, all is done that can be done now."""
        if self.does(which, "advance", lambda c: advance(c, UUID(job.id)), fault):
            self.observe()
            self._is_waiting(job)

    def _is_waiting(self, job: Job) -> None:
        """Nothing is left to be done now."""
        live = job.live
        need(job.state not in {JobState.SUBMITTED, JobState.CANCELLING}, f"I7 {job.id} {job.state}")
        if live is None or not job.works:
            return
        if live.state is RoundState.AGGREGATING:
            return  # somebody else holds it, or it is tried again after a pause
        awaited = sum(member.active for member in live.members)
        need(not job.over_budget, f"I7 {job.id} goes on over its budget of failures")
        need(not live.may_close(self.now, awaited), f"I7 round {live.id} could be closed")
        need(not live.lacks(self.now, awaited), f"I7 round {live.id} could be ended")

    @rule(which=WHICH, name=st.sampled_from([*sorted(LOOPS), "advance", "leases", "collect"]),
          fault=LATE)  # fmt: skip
    def timer(self, which: int, name: str, fault: Faults) -> None:
        self.step(f"timer: {name}")
        self.runs(which, name, fault)
        if name == "abandoned" or any("abandoned" in each.name for each in self.frozen):
            self.forget_uploads()

    def runs(self, which: int, name: str, fault: Faults = None) -> None:
        """One run of a timer's step."""
        if self.does(which, name, LOOPS[name], fault):
            self.watch.ran(name, self.now)

    def forget_uploads(self) -> None:
        """The uploads of what has ended may be gone."""
        for work in self.reference.work.values():
            if not work.active and work.uploads:
                self.reload(work)

    @rule(which=WHICH, redis=st.sampled_from(["up", "away", "stops"]), fault=LATE)
    def send_messages(self, which: int, redis: str, fault: Faults) -> None:
        """The outbox is sent: to a broker that takes all, nothing, or one message."""
        self.step(f"outbox, redis {redis}")
        room = {"up": 1000, "away": 0, "stops": 1}[redis]
        before = len(self.messages)

        def publish(task: str, _: str, argument: str) -> None:
            if len(self.messages) - before >= room:
                raise ConnectionError("the broker is away")
            self.messages.append((task, argument))

        self.does(which, "outbox", lambda c: dispatch(c.sessions, publish), fault)

    @rule(which=WHICH, pick=PICK, what=st.sampled_from(["deliver", "double", "lose all"]))
    def broker(self, which: int, pick: int, what: str) -> None:
        """A message arrives, and perhaps stays to arrive again; or all are lost."""
        self.step(f"broker: {what}")
        message = chosen(pick, self.messages)
        if what == "lose all":
            self.messages = []
        elif message is not None:
            if what == "deliver":
                self.messages.remove(message)
            task, argument = message
            if task == ADVANCE and argument in self.reference.jobs:
                self.looks_at(which, self.reference.jobs[argument])

    # time

    @rule(seconds=TIMES)
    def wait(self, seconds: float) -> None:
        self.step("time passes")
        self.arena.clock.pass_(timedelta(seconds=seconds))

    @rule(pick=PICK, dead=st.sampled_from([False, False, False, True]))
    def thaw(self, pick: int, dead: bool) -> None:
        """What stood still goes on, or is killed there."""
        self.step("kill a frozen call" if dead else "thaw")
        each = chosen(pick, self.frozen)
        if each is None:
            return
        self.thaw_one(each, dead=dead)
        if "abandoned" in each.name:
            self.forget_uploads()
