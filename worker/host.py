"""Serving one or several clients (or the planner) from one process: claim, do, report."""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from shared.api_client import ApiClient, ApiError
from shared.artifacts import ArtifactError
from shared.messages import Claim, Failure, FailureCode
from worker.assignments import perform
from worker.coordinator import Hold, WithdrawnError
from worker.data.client_file import offer
from worker.data.rows import DataError
from worker.models.base import BaseError
from worker.state import StateError
from worker.training.loop import DivergedError
from worker.workplace import Workplace

log = logging.getLogger("tapestry.worker")

_FAILURES: Mapping[type[Exception], FailureCode] = {
    DivergedError: FailureCode.DIVERGED,
    DataError: FailureCode.BAD_DATA,
    BaseError: FailureCode.BASE_MISMATCH,
    StateError: FailureCode.STATE_MISMATCH,
    ArtifactError: FailureCode.REFUSED,
    MemoryError: FailureCode.OUT_OF_MEMORY,
    torch.OutOfMemoryError: FailureCode.OUT_OF_MEMORY,
}


@dataclass(frozen=True)
class Member:
    """One principal served here."""

    api: ApiClient
    place: Workplace


class Host:
    """Does the assignments of its members, one at a time."""

    def __init__(self, members: Mapping[str, Member]) -> None:
        self.members = members
        self.stopping = threading.Event()
        self._busy = threading.Lock()

    def offer(self) -> None:
        """Tell the coordinator what each client has. Raises DataError, ApiError."""
        for name, member in self.members.items():
            if member.place.file is not None:
                member.api.offer(name, offer(member.place.file))
                log.info("%s is offered", name)

    def work(self, name: str) -> None:
        """Do all that there is to do for one member."""
        with self._busy:
            while not self.stopping.is_set() and self._work_once(name):
                pass

    def poll(self, interval_s: float) -> None:
        """Ask for all members' work now and then, until the host stops."""
        while not self.stopping.wait(interval_s):
            for name in self.members:
                self.work(name)

    def _work_once(self, name: str) -> bool:
        """Whether there was an assignment, done or not."""
        member = self.members[name]
        try:
            claim = member.api.claim()
        except ApiError as error:
            log.warning("%s cannot claim: %s", name, error)
            return False
        if claim is None:
            return False
        self._do(claim, member)
        return True

    def _do(self, claim: Claim, member: Member) -> None:
        place = member.place
        label = f"{place.name} {claim.kind} job {claim.job_id} round {claim.round}"
        log.info("%s: begins, attempt %d", label, claim.lease.attempt)
        hold = Hold(member.api, claim, place.cache, self.stopping)
        try:
            with hold.renewed():
                result, store = perform(claim, place, hold)
                member.api.result(claim.assignment_id, result)
            digest = getattr(result, "state_digest", None)
            if store is not None and digest is not None:
                store.promote(digest)
            log.info("%s: done in %.1f s", label, hold.traffic.seconds)
        except WithdrawnError as error:
            log.warning("%s: given up: %s", label, error)
        except ApiError as error:
            log.warning("%s: not reported: %s", label, error)
            if 400 <= error.problem.status < 500:
                self._fail(claim, member, FailureCode.REFUSED, str(error))
        except Exception as error:
            log.exception("%s: failed", label)
            self._fail(claim, member, _code(error), _sentence(error))

    def _fail(self, claim: Claim, member: Member, code: FailureCode, message: str) -> None:
        lease = claim.lease
        failure = Failure(
            lease_id=lease.id, attempt=lease.attempt, code=code, message=message[:2000]
        )
        try:
            member.api.failure(claim.assignment_id, failure)
        except ApiError as error:
            log.warning("the failure was not reported: %s", error)


def _code(error: Exception) -> FailureCode:
    for kind, code in _FAILURES.items():
        if isinstance(error, kind):
            return code
    return FailureCode.INTERNAL


def _sentence(error: Exception) -> str:
    """What the coordinator hears; unexpected errors may quote data and stay in the worker's log."""
    if _code(error) is FailureCode.INTERNAL:
        return f"unexpected {type(error).__name__}: see this worker's log"
    return str(error) or type(error).__name__
