"""One attempt at an assignment: compute, upload, report, promote.

Each step is written into the journal once it is done, and may be repeated: a kill between any two
ends with the same result and the same personal state.
"""

import logging
import threading
import time
from collections.abc import Mapping

import torch

from shared.api_client import ApiClient
from shared.artifacts import ArtifactError
from shared.crash_points import crash_point
from shared.messages import AssignmentResult, Claim, Failure, FailureCode
from shared.transport import ApiError
from worker.assignments import perform
from worker.coordinator import Hold, WithdrawnError
from worker.data.rows import DataError
from worker.decisions import (
    MOST_STARTS,
    Ending,
    Step,
    may_start,
    next_step,
    when_not_delivered,
    when_not_said,
    when_withdrawn,
)
from worker.journal import Entry, Stage
from worker.models.base import BaseError
from worker.state import StateError
from worker.training.loop import DivergedError
from worker.workplace import Workplace

log = logging.getLogger("tapestry.worker")


class StartsError(Exception):
    """The computation was begun again and again, and never came to an end."""


_FAILURES: Mapping[type[Exception], FailureCode] = {
    DivergedError: FailureCode.DIVERGED,
    DataError: FailureCode.BAD_DATA,
    BaseError: FailureCode.BASE_MISMATCH,
    StateError: FailureCode.STATE_MISMATCH,
    ArtifactError: FailureCode.REFUSED,
    MemoryError: FailureCode.OUT_OF_MEMORY,
    torch.OutOfMemoryError: FailureCode.OUT_OF_MEMORY,
    StartsError: FailureCode.INTERNAL,
}


class Attempt:
    """An attempt from where its journal stands; the claim is there until all is uploaded."""

    def __init__(
        self,
        api: ApiClient,
        place: Workplace,
        entry: Entry,
        claim: Claim | None,
        stopping: threading.Event,
    ) -> None:
        self._api = api
        self._place = place
        self._entry = entry
        self._claim = claim
        self._stopping = stopping
        kind = f"{claim.kind} round {claim.round}" if claim else entry.outcome.kind
        self._label = f"{place.name} {kind} job {entry.job_id}"

    def run(self) -> bool:
        """Whether it came to an end; where not, the journal keeps it for another time."""
        log.info("%s: attempt %d, %s", self._label, self._entry.held.attempt, self._entry.stage)
        try:
            self._go_on()
        except WithdrawnError as error:
            log.warning("%s: given up: %s", self._label, error)
            given_back = when_withdrawn(stopping=self._stopping.is_set()) is Ending.GIVE_BACK
            return self._give_back() if given_back else self._drop()
        except ApiError as error:
            log.warning("%s: not delivered: %s", self._label, error)
            failed = when_not_delivered(error.problem.status) is Ending.FAIL
            return failed and self._fail(FailureCode.REFUSED, str(error))
        except Exception as error:
            log.exception("%s: failed", self._label)
            return self._fail(_code(error), _sentence(error))
        return True

    def _go_on(self) -> None:
        self._place.journal.write(self._entry)
        crash_point("worker.claimed")
        if self._claim is not None:
            hold = Hold(self._api, self._claim, self._place.cache, self._stopping)
            with hold.renewed():
                if next_step(self._entry.stage) is Step.COMPUTE:
                    self._compute(self._claim, hold)
                if next_step(self._entry.stage) is Step.SEND:
                    self._send(hold)
        if next_step(self._entry.stage) is Step.REPORT:
            self._report()
        if next_step(self._entry.stage) is Step.PROMOTE:
            self._promote()
        log.info("%s: done in %.1f s", self._label, self._entry.outcome.traffic.seconds)

    def _compute(self, claim: Claim, hold: Hold) -> None:
        if not may_start(self._entry.starts):
            raise StartsError(
                f"begun {MOST_STARTS} times without coming to an end: look at this worker's log "
                "and at the memory of its machine"
            )
        hold.check(0.0)
        result = perform(claim, self._place, hold)
        crash_point("worker.computed")
        self._note(Stage.TRAINED, result)

    def _send(self, hold: Hold) -> None:
        began = time.monotonic()
        n_bytes = hold.push(self._entry.uploads)
        crash_point("worker.sent")
        result = self._entry.outcome
        before = result.traffic
        spent = {
            "bytes_up": before.bytes_up + n_bytes,
            "seconds": before.seconds + time.monotonic() - began,
        }
        traffic = before.model_copy(update=spent)
        self._note(Stage.UPLOADED, result.model_copy(update={"traffic": traffic}))

    def _report(self) -> None:
        self._api.result(self._entry.held.assignment_id, self._entry.outcome)
        crash_point("worker.reported")
        self._note(Stage.ACCEPTED, self._entry.outcome)

    def _promote(self) -> None:
        digest = self._entry.state_digest
        if digest is not None:
            self._place.personal_store(self._entry.job_id).promote(digest)
        crash_point("worker.promoted")
        self._drop()

    def _note(self, stage: Stage, result: AssignmentResult) -> None:
        self._entry = self._entry.model_copy(update={"stage": stage, "result": result})
        self._place.journal.write(self._entry)
        crash_point(f"worker.{stage}")

    def _give_back(self) -> bool:
        """Release the assignment, so that this attempt does not count."""
        try:
            self._api.release(self._entry.held)
        except ApiError as error:
            log.warning("%s: not given back: %s", self._label, error)
            if when_not_said(error.problem.status) is Ending.KEEP:
                return False
        return self._drop()

    def _fail(self, code: FailureCode, message: str) -> bool:
        held = self._entry.held
        failure = Failure(
            lease_id=held.lease_id, attempt=held.attempt, code=code, message=message[:2000]
        )
        try:
            self._api.failure(held.assignment_id, failure)
        except ApiError as error:
            log.warning("%s: the failure was not reported: %s", self._label, error)
            if when_not_said(error.problem.status) is Ending.KEEP:
                return False
        return self._drop()

    def _drop(self) -> bool:
        """Nothing is in hand any more."""
        self._place.journal.clear()
        self._place.drop_checkpoints()
        return True


def _code(error: Exception) -> FailureCode:
    for kind, code in _FAILURES.items():
        if isinstance(error, kind):
            return code
    return FailureCode.INTERNAL


def _sentence(error: Exception) -> str:
    """What the coordinator hears; unexpected errors may quote data and stay in the worker's log."""
    if not isinstance(error, tuple(_FAILURES)):
        return f"unexpected {type(error).__name__}: see this worker's log"
    return str(error) or type(error).__name__
