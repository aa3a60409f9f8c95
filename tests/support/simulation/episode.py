"""One episode: a federation and its jobs, faults for a while, and then none until all has ended."""

from collections import Counter
from dataclasses import dataclass
from random import Random

from shared.job_spec import JobSpec
from shared.states import ASSIGNMENT_TERMINAL, JobState
from tests.support.simulation import reasons
from tests.support.simulation.check import ViolationError
from tests.support.simulation.coordinator import LONGEST_ATTEMPT, MOST_AGGREGATIONS
from tests.support.simulation.faults import Nemesis
from tests.support.simulation.rows import Job
from tests.support.simulation.world import World

_SETTLES_S = 1800.0  # a frozen process thaws, a last journal is delivered
_RESTS_S = 120.0  # by then a sound coordinator has seen all that is due
_LOOK_EVERY = 50
_ASK_EVERY = 100  # events between two looks at all rows
_ROUND = MOST_AGGREGATIONS * LONGEST_ATTEMPT


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an episode came to."""

    number: int
    events: Counter[str]
    faults: Counter[str]
    checked: Counter[str]
    jobs: Counter[JobState]
    simulated_s: float
    digest: str
    violation: str | None
    last: tuple[str, ...]


class Episode:
    """Everything in it is drawn from the seed and its number."""

    def __init__(self, seed: int, number: int) -> None:
        rng = Random(f"{seed}/{number}")  # noqa: S311  # nothing here is secret
        clients = [f"c{n}" for n in range(1, rng.randint(2, 6) + 1)]
        self._number = number
        self._steps = 0
        self._world = World(rng, clients)
        for n in range(rng.randint(1, 3)):
            self._submit(_drawn(rng, clients, f"job-{n + 1}"))
        self._nemesis = Nemesis(self._world, rng)
        self._ends = self._world.now + rng.uniform(60.0, 3600.0)

    def _submit(self, spec: JobSpec) -> None:
        store = self._world.store
        job = Job(store.new_id(), spec.name, spec, JobState.SUBMITTED, store.now)
        store.jobs.append(job)
        store.ask_advance(job)

    def run(self) -> Outcome:
        """Run to the end, or to the first violation."""
        violation = None
        try:
            self._disturbed()
            self._undisturbed()
            self._check_end()
        except ViolationError as error:
            violation = str(error)
        world = self._world
        return Outcome(
            number=self._number,
            events=world.events,
            faults=world.faults,
            checked=world.check.checked,
            jobs=Counter(job.state for job in world.store.jobs),
            simulated_s=world.now,
            digest=world.digest.hexdigest(),
            violation=violation,
            last=tuple(world.last),
        )

    def _step(self) -> None:
        """The next event; now and then everything must say why it waits."""
        self._world.step()
        self._steps += 1
        if self._steps % _ASK_EVERY == 0:
            reasons.look(self._world.store)

    def _disturbed(self) -> None:
        world = self._world
        while world.now < self._ends and not world.done:
            self._step()
        world.at(0.0, self._nemesis.stop)
        while not self._nemesis.over:
            self._step()

    def _undisturbed(self) -> None:
        """Until all jobs have ended and nothing is in hand; rows are looked at now and then."""
        world = self._world
        latest = world.now + max(_longest(job) for job in world.store.jobs)
        latest += world.check.back.total_seconds() + _SETTLES_S
        begun = world.now
        while not world.done:
            self._step()
            if world.now > latest:
                world.check.require("hang", world.done, "a job has not ended long after the faults")
            if self._steps % _LOOK_EVERY == 0 and world.now > begun + _RESTS_S:
                self._look()
        end = world.now + _SETTLES_S
        while world.now < end and any(disk.journal for disk in world.disks.values()):
            self._step()

    def _look(self) -> None:
        store = self._world.store
        for rows in store.open.values():
            for row in rows:
                store.check.forgotten(row, store.now)

    def _check_end(self) -> None:
        world = self._world
        for name, disk in world.disks.items():
            kept = disk.journal is None
            world.check.require("hang", kept, f"{name} keeps {disk.journal} for ever")
        for job in world.store.jobs:
            world.check.ended(job)
            for client, state in job.states.items():
                personal = world.disks[client].personal[job.id]
                here = state in personal.saved
                world.check.require("I8", here, f"{client} has lost its state of {job.name}")
            for row in (m for each in job.rounds for m in each.members):
                ended = row.state in ASSIGNMENT_TERMINAL
                world.check.require("I7", ended, f"{row.name} is {row.state} in the end")


def _longest(job: Job) -> float:
    """How long the job may still take at most, whatever its clients do."""
    rounds = job.spec.rounds
    each = (1 + rounds.extensions) * rounds.deadline + _ROUND
    return (rounds.count + 3) * each.total_seconds()


def _drawn(rng: Random, clients: list[str], name: str) -> JobSpec:
    """A spec with any of the policies of rounds."""
    wanted = rng.randint(1, len(clients))
    deadline = rng.choice((60.0, 200.0, 600.0))
    rounds = {
        "count": rng.randint(1, 5),
        "clients_per_round": wanted,
        "quorum": rng.randint(1, wanted),
        "over_selection": rng.choice((1.0, 1.0, 1.3, 2.0)),
        "deadline": deadline,
        "grace": rng.choice((None, None, 0.0, deadline / 4)),
        "extensions": rng.randint(0, 3),
        "max_attempts": rng.randint(1, 6),
        "failure_budget": rng.choice((None, None, 0, 3)),
    }
    algorithm = rng.choice(
        ({"name": "tap"}, {"name": "local"}, {"name": "fedavg", "post_training": False})
    )
    task = {"kind": "image_classification", "modalities": ["image"], "classes": ["a", "b"]}
    return JobSpec.model_validate(
        {
            "name": name,
            "seed": rng.randrange(1000),
            "algorithm": algorithm,
            "rounds": rounds,
            "tasks": {"digits": task},
            "clients": clients,
        }
    )
