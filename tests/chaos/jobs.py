"""Keeps jobs running while the stack is disturbed, as an operator who tries again would."""

import hashlib
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from shared.api_client import ApiClient
from shared.job_spec import JobSpec
from shared.states import JOB_TERMINAL, JobState
from shared.transport import ApiError
from tests.support import federation, small

T = TypeVar("T")

CLIENTS = {f"c0{n}": list(federation.CLIENTS.values())[n % 3] for n in range(1, 7)}
_PATIENT = {"count": 3, "deadline": "PT1H", "max_attempts": 100}
_HASTY = {
    "count": 4,
    "clients_per_round": 3,
    "over_selection": 1.5,
    "quorum": 2,
    "deadline": "PT6S",
    "grace": "PT1S",
    "extensions": 6,
    "max_attempts": 5,
}


def patient() -> JobSpec:
    """A job that misses no client: its outcome is always the same."""
    return small.spec(name="patient", clients=sorted(CLIENTS), rounds=_PATIENT)


def hasty(seed: int) -> JobSpec:
    """A job that goes on without those who are late: which ones is a matter of luck."""
    return small.spec(name="hasty", seed=seed, clients=sorted(CLIENTS), rounds=_HASTY)


@dataclass
class Running:
    """A job that was launched."""

    id: UUID
    name: str
    state: JobState
    outcome: str = ""  # hash of all that must not depend on any fault


@dataclass
class Operator:
    """Launches jobs and watches them, through whichever API answers."""

    apis: list[ApiClient]
    jobs: list[Running] = field(default_factory=list)
    launched: int = 0

    def launch(self, spec: JobSpec) -> Running:
        """Launch one; asked again under its idempotency key until it is heard."""
        self.launched += 1
        key = f"chaos-{self.launched}"
        job = self.ask(lambda api: api.submit(spec, key))
        self.jobs.append(Running(job.id, spec.name, job.state))
        return self.jobs[-1]

    def look(self) -> list[Running]:
        """The jobs that have not ended."""
        open_jobs = [job for job in self.jobs if job.state not in JOB_TERMINAL]
        for job in open_jobs:
            job.state = self._state(job.id)
        return [job for job in open_jobs if job.state not in JOB_TERMINAL]

    def _state(self, job: UUID) -> JobState:
        return self.ask(lambda api: api.job(job)).state

    def wait(self, within_s: float) -> None:
        """Wait until all jobs have ended. Raises AssertionError with what they wait for."""
        end = time.monotonic() + within_s
        while waiting := self.look():
            if time.monotonic() > end:
                raise AssertionError("\n".join(map(self._reason, waiting)))
            time.sleep(0.1)

    def _reason(self, job: Running) -> str:
        with suppress(ApiError):
            said = self.apis[0].waiting(job.id).items
            why = " ".join(item.waiting.sentence for item in said)
            return f"{job.name} {job.id} is {job.state}: {why}"
        return f"{job.name} {job.id} is {job.state}, and the API says nothing"

    def judge(self, job: Running) -> None:
        """Note the outcome of a job that has ended well."""
        job.outcome = self.ask(lambda api: _outcome(api, job.id))

    def ask(self, call: Callable[[ApiClient], T], within_s: float = 120) -> T:
        """What an API answers; the others are asked in turn while one is away."""
        end = time.monotonic() + within_s
        while True:
            for api in self.apis:
                try:
                    return call(api)
                except ApiError as error:
                    if error.problem.status not in {0, 503} or time.monotonic() > end:
                        raise


def _outcome(api: ApiClient, job: UUID) -> str:
    versions = [api.version(job, v.number).manifest for v in api.versions(job)]
    report = api.report(job).model_dump(mode="json")
    parts: dict[str, Any] = {
        "versions": [{n: e.sha256 for n, e in each.items()} for each in versions],
        "replacements": report["replacements"],
        "scores": report["scores"],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Launcher:
    """Keeps some jobs running in a thread, until it is told that it is enough."""

    def __init__(self, operator: Operator, at_once: int = 3) -> None:
        self._operator = operator
        self._at_once = at_once
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, name="launcher", daemon=True)
        self.error: BaseException | None = None
        self._thread.start()

    def stop(self) -> None:
        """Launch no more. Raises what went wrong meanwhile."""
        self._enough.set()
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            while not self._enough.wait(0.3):
                if len(self._operator.look()) < self._at_once:
                    n = self._operator.launched
                    self._operator.launch(hasty(n) if n % 3 == 2 else patient())
        except BaseException as error:  # noqa: BLE001  # `stop` raises it
            self.error = error
