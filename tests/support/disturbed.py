"""A stack whose processes are killed at named points, and what must come out all the same."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
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
        self._parent = self._submit()
        self._expected = outcome(busy.operator, self._parent)

    def close(self) -> None:
        """Stop the worker, in peace."""
        self._worker.terminate()
        self._worker.join(30)
        assert self._worker.exitcode == 0

    def server(self, name: str, kills: Sequence[str], within_s: float) -> None:
        """Kill the API or the coordinator at each of the points (NAME:HIT) in turn."""
        with Mortal(self._stack, name, kills) as mortal:
            mortal.die(lambda: self._act(silent=name == "coordinator"), within_s)
            self._act(silent=False)  # and in its last life it serves on

    def worker(self, kill: str) -> None:
        """Kill the clients' worker at a point."""
        self.close()
        job = self._submit()
        dying = self._stack.start_worker(crash=kill)
        dying.join(120)
        assert dying.exitcode == KILLED, kill
        self._worker = self._stack.start_worker()
        self._compare(job)

    def trainer(self, kill: str) -> None:
        """Kill the first training process of a worker at a point; the worker lives on."""
        self.close()
        log = self._stack.settings.logs / "clients.log"
        before = log.stat().st_size
        self._worker = self._stack.start_worker(crash=f"{kill}@1")
        self._compare(self._submit())
        with log.open("rb") as file:
            file.seek(before)
            assert file.read().count(b"the training process was killed by SIGKILL") == 1, kill

    def check(self) -> None:
        """Assert the invariants over all that has happened."""
        with reachable(self._stack._server_env["TAPESTRY_DATABASE_URL"]) as engine:
            store = ArtifactStore(self._stack.settings.state / "artifacts")
            invariants.check(make_sessions(engine), store)

    def _submit(self) -> UUID:
        name = f"job-{next(self._numbers)}"
        return self._busy.operator.submit(spec(name), name).id

    def _act(self, *, silent: bool) -> None:
        job = self._submit()
        self._busy.turn(self._parent, silent=silent)
        self._compare(job)

    def _compare(self, job: UUID) -> None:
        assert outcome(self._busy.operator, job) == self._expected
        self.n_jobs += 1


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
