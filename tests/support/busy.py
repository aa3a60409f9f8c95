"""All that an operator and a client may do, again and again, while a server dies under it."""

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from uuid import UUID

from shared.api_client import ApiClient
from shared.job_spec import JobSpec
from shared.messages import (
    Claim,
    ClientOffer,
    Failure,
    FailureCode,
    Heartbeat,
    HeldAssignment,
    UploadCreate,
    UploadWish,
)
from shared.states import JOB_TERMINAL, AssignmentState
from shared.transport import ApiError
from shared.views import ClientCreate, JobFork
from tests.support.unattended import Unattended

NAME = "restless"
TIMES = 3  # of what may be done again: so that a second hit comes in the same turn
_PATIENCE_S = 120.0
_OFFER = {
    "tasks": {
        "digits": {
            "kind": "image_classification",
            "modalities": ["image"],
            "n_classes": 3,
            "train": {"general": 10},
            "validation": 5,
            "test": 5,
        }
    }
}


class Busy:
    """An operator, and a client `restless` that trains nothing and keeps no assignment."""

    def __init__(self, stack: Unattended, spec: Callable[[str], JobSpec], scratch: Path) -> None:
        key = stack.admin_key_file.read_text(encoding="ascii").strip()
        self.operator = ApiClient(stack.url, key, _PATIENCE_S)
        own = self.operator.create_client(ClientCreate(id=NAME), NAME).key
        self.client = ApiClient(stack.url, own, _PATIENCE_S)
        self._spec = spec
        self._store = stack.settings.state / "artifacts"
        self._rubbish = scratch / "rubbish"
        self._turns = count()
        self._jobs = count()
        self._job: UUID | None = None

    def close(self) -> None:
        """Close the connections."""
        self.operator.close()
        self.client.close()

    def turn(self, parent: UUID, *, silent: bool) -> None:
        """Do all of it once; a silent client lets a lease run out."""
        number = next(self._turns)
        self._leave_rubbish(number)
        for _ in range(TIMES):
            self.client.offer(NAME, ClientOffer.model_validate(_OFFER))
        self._launch()
        if silent:
            self._claim()
            self._wait_until(self._launched, AssignmentState.SUSPECT)
        self._work()
        job = self._launched
        for _ in range(TIMES):
            self.operator.pause(job)
            self.operator.resume(job)
        for again in range(TIMES):
            name = f"fork-{number}-{again}"
            fork = self.operator.fork(parent, JobFork(round=1, spec=self._spec(name)), name)
            self.operator.cancel(fork.id)
        self.operator.cancel(job)

    def _work(self) -> None:
        """Claim, send what is refused, release, claim and fail."""
        claim = self._claim()
        held = _held(claim)
        for _ in range(TIMES):
            claim = self.client.claim(held) or claim
            beat = Heartbeat(lease_id=held.lease_id, attempt=held.attempt, progress=0.5)
            self.client.heartbeat(claim.assignment_id, beat)
        with _refused():
            self._upload(claim)
        with _refused():
            self.client.release(held)
        claim = self._claim()
        failure = Failure(
            lease_id=claim.lease.id,
            attempt=claim.lease.attempt,
            code=FailureCode.INTERNAL,
            message="restless",
        )
        with _refused():
            self.client.failure(claim.assignment_id, failure)

    def _launch(self) -> None:
        name = f"{NAME}-{next(self._jobs)}"
        self._job = self.operator.submit(_own(self._spec(name)), name).id

    @property
    def _launched(self) -> UUID:
        assert self._job is not None
        return self._job

    def _claim(self) -> Claim:
        """The next claim; one whose answer was lost comes again when its lease has run out.

        Bytes whose refusal was not heard are sent, and refused, once more: that ends the job.
        """
        end = time.monotonic() + _PATIENCE_S
        while (claim := self.client.claim()) is None:
            assert time.monotonic() < end, self._why()
            if self.operator.job(self._launched).state in JOB_TERMINAL:
                self._launch()
            time.sleep(0.05)
        return claim

    def _why(self) -> str:
        """What the service says that its jobs wait for."""
        jobs = [job for job in self.operator.jobs() if job.waiting is not None]
        return "\n".join(
            f"{job.name}: {self.operator.waiting(job.id).model_dump_json()}" for job in jobs
        )

    def _upload(self, claim: Claim) -> None:
        """Send bytes that are as many as they should be, and nothing else."""
        component, sha256 = next(iter(claim.manifest.items()))
        n_bytes = (self._store / sha256[:2] / sha256).stat().st_size
        self._rubbish.write_bytes(bytes(n_bytes))
        wish = UploadWish(sha256=hashlib.sha256(bytes(n_bytes)).hexdigest(), n_bytes=n_bytes)
        create = UploadCreate(**_held(claim).model_dump(), components={component: wish})
        self.client.upload(self.client.announce(create), [self._rubbish])

    def _wait_until(self, job: UUID, state: AssignmentState) -> None:
        end = time.monotonic() + _PATIENCE_S
        while state not in {a.state for r in self.operator.rounds(job) for a in r.assignments}:
            assert time.monotonic() < end
            time.sleep(0.05)

    def _leave_rubbish(self, number: int) -> None:
        """An old file that nobody needs in each directory of the store."""
        old = time.time() - 172_800
        for directory in range(256):
            path = self._store / f"{directory:02x}" / f"{directory:02x}{number:062x}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"rubbish")
            os.utime(path, (old, old))


def _own(spec: JobSpec) -> JobSpec:
    """The spec for the restless client alone."""
    tasks = {"digits": spec.tasks["digits"]}
    return spec.model_copy(update={"clients": (NAME,), "tasks": tasks})


def _held(claim: Claim) -> HeldAssignment:
    return HeldAssignment(
        assignment_id=claim.assignment_id,
        lease_id=claim.lease.id,
        attempt=claim.lease.attempt,
    )


@contextlib.contextmanager
def _refused() -> Iterator[None]:
    """What may be refused: it was done before, and the answer was lost."""
    try:
        yield
    except ApiError as error:
        if error.problem.status not in {409, 422}:
            raise
