"""A stack whose processes are killed at named points, and what must come out all the same."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from uuid import UUID

from cli.stack.processes import Processes
from server.database import make_sessions, reachable
from shared.artifacts import ArtifactStore
from shared.job_spec import JobSpec
from tests.support import federation, invariants
from tests.support.busy import Busy
from tests.support.mortal import KILLED, Mortal
from tests.support.outcome import outcome
from tests.support.unattended import Unattended


def spec(name: str) -> JobSpec:
    """The small job; no number of lost attempts ends it."""
    return federation.job(name, rounds={"count": 2, "max_attempts": 100})


class Patient(Unattended):
    """What a dead coordinator held is free soon, and no number of deaths ends a job."""

    def _start_servers(self) -> None:
        super()._start_servers()
        self._server_env |= {
            "TAPESTRY_AGGREGATION_LEASE": "PT3S",
            "TAPESTRY_SWEEP": "PT1S",
            "TAPESTRY_TIMER": "PT0.2S",
        }


class Disturbed:
    """Lets processes die, and compares every job that runs meanwhile with an undisturbed one."""

    def __init__(self, stack: Patient, busy: Busy) -> None:
        self._stack = stack
        self._busy = busy
        self._numbers = count()
        self.n_jobs = 0
        self._worker = stack.start_worker()
        stack.wait_for_offers()
        stack.stop_planner()
        self._planner = stack.start_worker("planner")
        self._parent = self._submit()
        self._expected = outcome(busy.operator, self._parent)

    def close(self) -> None:
        """Stop the worker and the planner, in peace."""
        _end(self._worker)
        _end(self._planner)

    def server(self, name: str, kills: Sequence[str], within_s: float) -> None:
        """Kill the API or the coordinator at each of the points (NAME:HIT) in turn."""
        with Mortal(self._stack, name, kills) as mortal:
            mortal.die(lambda: self._act(silent=name == "coordinator"), within_s)
            self._act(silent=False)  # and in its last life it serves on

    def worker(self, kill: str) -> None:
        """Kill the clients' worker at a point."""
        _end(self._worker)
        job = self._submit()
        dying = self._stack.start_worker(crash=kill)
        dying.join(120)
        assert dying.exitcode == KILLED, kill
        self._worker = self._stack.start_worker()
        self._compare(job)

    def trainer(self, kill: str) -> None:
        """Kill the first training process of a worker at a point; the worker lives on."""
        _end(self._worker)
        with self._trainer_dies("clients", kill):
            self._worker = self._stack.start_worker(crash=f"{kill}@1")
            self._compare(self._submit())

    def planner(self, kill: str) -> None:
        """Kill the planner at a point (NAME:HIT), with as many jobs to plan as there are hits."""
        _end(self._planner)
        jobs = self._submit_for(kill)
        dying = self._stack.start_worker("planner", kill)
        dying.join(120)
        assert dying.exitcode == KILLED, kill
        self._planner = self._stack.start_worker("planner")
        for job in jobs:
            self._compare(job)

    def planner_trainer(self, kill: str) -> None:
        """Kill the first training process of a planner at a point; the planner lives on."""
        _end(self._planner)
        with self._trainer_dies("planner", kill):
            jobs = self._submit_for(kill)
            self._planner = self._stack.start_worker("planner", f"{kill}@1")
            for job in jobs:
                self._compare(job)

    def check(self) -> None:
        """Assert the invariants over all that has happened."""
        with reachable(self._stack._server_env["TAPESTRY_DATABASE_URL"]) as engine:
            store = ArtifactStore(self._stack.settings.state / "artifacts")
            invariants.check(make_sessions(engine), store)

    def _submit(self) -> UUID:
        name = f"job-{next(self._numbers)}"
        return self._busy.operator.submit(spec(name), name).id

    def _submit_for(self, kill: str) -> list[UUID]:
        """A planner comes to a point once in a job, so that its second hit takes two."""
        return [self._submit() for _ in range(int(kill.rpartition(":")[2]))]

    @contextmanager
    def _trainer_dies(self, log: str, kill: str) -> Iterator[None]:
        """Assert that one training process dies within the block, as the log says."""
        path = self._stack.settings.logs / f"{log}.log"
        before = path.stat().st_size
        yield
        with path.open("rb") as file:
            file.seek(before)
            assert file.read().count(b"the training process was killed by SIGKILL") == 1, kill

    def _act(self, *, silent: bool) -> None:
        job = self._submit()
        self._busy.turn(self._parent, silent=silent)
        self._compare(job)

    def _compare(self, job: UUID) -> None:
        assert outcome(self._busy.operator, job) == self._expected
        self.n_jobs += 1


def _end(process: ForkServerProcess) -> None:
    process.terminate()
    process.join(30)
    assert process.exitcode == 0


@contextmanager
def disturbed(directory: Path, client_files: Sequence[Path]) -> Iterator[Disturbed]:
    """A stack over the first two clients, with a worker that serves them, in that directory."""
    settings = federation.stack_settings(directory / "mortal", client_files[:2])
    with Processes() as own, Patient(own, settings) as stack:
        busy = Busy(stack, spec, directory)
        try:
            one = Disturbed(stack, busy)
            yield one
            one.close()
        finally:
            busy.close()
