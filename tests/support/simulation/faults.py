"""What goes wrong in an episode, and when it stops."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from random import Random

from server.assignments.decide import ENDED
from server.rounds import standing
from shared.states import JobState, RoundState
from tests.support.simulation.client import Client
from tests.support.simulation.coordinator import AGGREGATION
from tests.support.simulation.network import CALM
from tests.support.simulation.rows import Job
from tests.support.simulation.world import APIS, COORDINATORS, REDIS, World


class Nemesis:
    """Strikes now and then, until it is told to stop."""

    def __init__(self, world: World, rng: Random) -> None:
        self._world = world
        self._rng = rng
        self._pause_s = rng.choice((5.0, 15.0, 40.0))
        self._workers = [name or "planner" for name in world.client_names]
        self._everyone = [*self._workers, *APIS, *COORDINATORS]
        self.over = False
        self._kinds: dict[str, tuple[Callable[[], str], int]] = {
            "worker killed": (lambda: self._kill(self._workers), 6),
            "API killed": (lambda: self._kill(APIS), 3),
            "coordinator killed": (lambda: self._kill(COORDINATORS), 3),
            "worker told to stop": (self._stop, 2),
            "process frozen": (lambda: self._freeze(self._everyone), 4),
            "aggregator frozen": (self._freeze_aggregator, 3),
            "partition one way": (lambda: self._part(both=False), 3),
            "partition both ways": (lambda: self._part(both=True), 3),
            "Redis away": (self._hide_redis, 2),
            "database's clock jumps": (self._jump_database, 1),
            "process's clock jumps": (self._jump_process, 4),
            "database restarts": (self._restart_database, 2),
            "commits not answered": (self._cut_commits, 2),
            "journal lost": (self._lose_journal, 2),
            "cache lost": (self._lose_cache, 1),
        }
        self._next()

    def _next(self) -> None:
        self._world.at(self._rng.expovariate(1.0 / self._pause_s), self._strike)

    def _strike(self) -> str:
        if self.over:
            return "nothing more"
        self._next()
        if self._rng.random() < 0.08:
            return self._operate()
        names = list(self._kinds)
        [kind] = self._rng.choices(names, [self._kinds[name][1] for name in names])
        self._world.faults[kind] += 1
        return f"{kind}: {self._kinds[kind][0]()}"

    def _later(self, longest_s: float, what: Callable[[], str]) -> None:
        self._world.at(self._rng.random() * longest_s, what)

    def _kill(self, names: Sequence[str]) -> str:
        name = self._rng.choice(names)
        self._world.processes[name].crash()
        self._later(self._rng.choice((1.0, 90.0)), lambda: self._start(name))
        return name

    def _start(self, name: str) -> str:
        self._world.start(name)
        return f"{name} starts"

    def _stop(self) -> str:
        name = self._rng.choice(self._workers)
        process = self._world.processes[name]
        if isinstance(process, Client):
            process.stopping = True
        self._world.at(60.0, lambda: self._replace(name))
        return name

    def _replace(self, name: str) -> str:
        """What has not stopped by now is killed, as an init system does."""
        process = self._world.processes[name]
        if isinstance(process, Client) and process.stopping:
            process.crash()
        return self._start(name)

    def _freeze_aggregator(self) -> str:
        """For longer than its lease, if one is at it."""
        jobs = self._world.store.jobs
        if any(job.live and job.live.state is RoundState.AGGREGATING for job in jobs):
            return self._freeze(COORDINATORS, 2 * AGGREGATION.total_seconds())
        return "nobody"

    def _freeze(self, names: Sequence[str], longest: float = 0.0) -> str:
        name = self._rng.choice(names)
        longest = longest or self._rng.choice((5.0, 100.0, 600.0))
        until = self._world.now + self._rng.random() * longest
        self._world.processes[name].frozen_until = until
        return f"{name} until {until:.0f}"

    def _part(self, *, both: bool) -> str:
        """Cut some processes off from the API, or the API off from them."""
        cut = self._rng.sample(self._workers, self._rng.randint(1, len(self._workers)))
        apis = self._rng.choice((APIS, APIS[:1]))
        there = [(name, api) for name in cut for api in apis]
        back = [(api, name) for name in cut for api in apis]
        pairs = there + back if both else self._rng.choice((there, back))
        return self._cut(pairs, ", ".join(cut))

    def _hide_redis(self) -> str:
        return self._cut([(REDIS, name) for name in self._everyone], REDIS)

    def _cut(self, pairs: list[tuple[str, str]], what: str) -> str:
        network = self._world.network
        network.cut(pairs)

        def heal() -> str:
            network.heal(pairs)
            return f"{what} healed"

        self._later(self._rng.choice((10.0, 200.0)), heal)
        return what

    def _jump_database(self) -> str:
        by = self._rng.choice((-1.0, 1.0)) * self._rng.choice((3.0, 90.0, 1800.0))
        by *= self._rng.random()
        self._world.store.offset += by
        self._world.store.tick(self._world.now)
        if by < 0:
            self._world.check.back += timedelta(seconds=-by)
        return f"{by:.3f}"

    def _jump_process(self) -> str:
        name = self._rng.choice(self._everyone)
        by = self._rng.uniform(-100.0, 3600.0)
        self._world.jump(self._world.processes[name], by)
        return f"{name} {by:.3f}"

    def _restart_database(self) -> str:
        self._world.database_back = self._world.now + self._rng.random() * 20.0
        return f"until {self._world.database_back:.0f}"

    def _cut_commits(self) -> str:
        self._world.unanswered = 0.3

        def end() -> str:
            self._world.unanswered = 0.0
            return "commits are answered"

        self._later(60.0, end)
        return ""

    def _lose_journal(self) -> str:
        name = self._rng.choice(self._workers)
        self._world.disks[name].journal = None
        return name

    def _lose_cache(self) -> str:
        name = self._rng.choice(self._workers)
        self._world.disks[name].artifacts.clear()
        return name

    # the operator

    def _operate(self) -> str:
        """An operator pauses, resumes or cancels a job."""
        job = self._rng.choice(self._world.store.jobs)
        what = self._rng.choice(("pause", "resume", "resume", "cancel"))
        if job.state in ENDED:
            return "operator: nothing"
        if what == "pause" and job.state is not JobState.PAUSED:
            self._pause(job)
        elif what == "resume" and job.state is JobState.PAUSED:
            self.resume(job)
        elif what == "cancel" and self._rng.random() < 0.3:
            self._world.store.move_job(job, JobState.CANCELLING)
            self._world.store.ask_advance(job)
        return f"operator: {what} {job.name}"

    def _pause(self, job: Job) -> None:
        before = job.state
        self._world.store.move_job(job, JobState.PAUSED)
        job.paused_from, job.paused_at = before, self._world.store.now

    def resume(self, job: Job) -> None:
        """Let a paused job go on from where it stood."""
        store = self._world.store
        if job.paused_at is None or job.paused_from is None:
            raise AssertionError(f"{job.name} is not paused")
        if job.live is not None:
            standing.move_on(job.live, store.now - job.paused_at)
        store.move_job(job, job.paused_from)
        job.paused_from = job.paused_at = None
        store.ask_advance(job)

    # the end

    def stop(self) -> str:
        """Nothing goes wrong any more, and what is down comes back."""
        world = self._world
        self.over = True
        world.network.weather = CALM
        world.network.cuts.clear()
        world.database_back = world.unanswered = world.fails = world.disk_trouble = 0.0
        for name in self._everyone:
            process = world.processes[name]
            if not isinstance(process, Client) and process.frozen_until > world.now:
                process.crash()
            world.start(name)
        for job in world.store.jobs:
            if job.state is JobState.PAUSED:
                self.resume(job)
        return "all faults stop"
