"""One attempt at an assignment: pull, have it computed, upload, report, promote.

Each step is written into the journal once it is done, and may be repeated: a kill between any two
ends with the same result and the same personal state.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from shared import tracing
from shared.api_client import ApiClient
from shared.artifacts import ArtifactError
from shared.crash_points import crash_point
from shared.logs import about
from shared.messages import AssignmentKind, Claim, FailureCode
from shared.results import AssignmentResult
from shared.transport import ApiError
from worker.coordinator import Hold, WithdrawnError
from worker.decisions import (
    MOST_STARTS,
    Ending,
    Step,
    may_start,
    next_step,
    when_broken,
    when_not_delivered,
    when_not_said,
    when_withdrawn,
)
from worker.failures import FailedError, of_disk
from worker.journal import Entry, Stage
from worker.personal_files import StateError
from worker.spent import Phase, Spent
from worker.supervision import ChildDiedError, UnexpectedError
from worker.trainer_process import TrainerProcess
from worker.watching import METERS
from worker.work import Computed, Request
from worker.workplace import Workplace

log = logging.getLogger("tapestry.worker")


@dataclass(frozen=True)
class Member:
    """One principal served here."""

    api: ApiClient
    place: Workplace


class Attempt:
    """An attempt from where its journal stands; the claim is there until all is uploaded."""

    def __init__(
        self,
        member: Member,
        entry: Entry,
        claim: Claim | None,
        trainer: TrainerProcess,
        stopping: threading.Event,
    ) -> None:
        self._api = member.api
        self._place = member.place
        self._entry = entry
        self._claim = claim
        self._trainer = trainer
        self._stopping = stopping
        self._end = "kept"

    def run(self) -> bool:
        """Whether it came to an end; where not, the journal keeps it for another time."""
        named = self._about()
        with about(**named), tracing.span(f"assignment {self._kind}", **named):
            over = self._run()
        METERS.ended(self._kind, self._end if over else "kept")
        return over

    @property
    def _kind(self) -> AssignmentKind:
        return self._claim.kind if self._claim else AssignmentKind(self._entry.outcome.kind)

    def _about(self) -> dict[str, object]:
        held = self._entry.held
        return {
            "job": self._entry.job_id,
            "round": self._claim.round if self._claim else None,
            "kind": self._kind,
            "assignment": held.assignment_id,
            "attempt": held.attempt,
        }

    def _run(self) -> bool:
        log.info("the attempt goes on, %s", self._entry.stage)
        try:
            self._go_on()
        except WithdrawnError as error:
            log.warning("given up: %s", error)
            given_back = when_withdrawn(stopping=self._stopping.is_set()) is Ending.GIVE_BACK
            self._end = "given_back" if given_back else "withdrawn"
            return self._give_back() if given_back else self._drop()
        except ApiError as error:
            log.warning("not delivered: %s", error)
            failed = when_not_delivered(error.problem.status) is Ending.FAIL
            return failed and self._fail(FailedError(FailureCode.REFUSED, str(error)))
        except Exception as error:
            log.exception("the attempt failed")
            disk = isinstance(error, OSError)
            failed = when_broken(self._entry.stage, disk=disk) is Ending.FAIL
            return failed and self._fail(_failed(error))
        self._end = "done"
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
        log.info("done in %.1f s", self._entry.outcome.traffic.seconds)

    def _compute(self, claim: Claim, hold: Hold) -> None:
        self._check_starts()
        hold.check(0.0)
        self._pull(hold)
        crash_point("worker.pulled")
        computed = None
        while computed is None:
            computed = self._start(claim, hold)
        if computed.catalogue is not None:
            hold.describe(computed.catalogue)
        METERS.spent(computed.spent)
        for interval in computed.spent.intervals_ns:
            tracing.past(*interval)
        crash_point("worker.computed")
        result = computed.result.model_copy(update={"traffic": hold.traffic})
        self._note(Stage.TRAINED, result)

    def _pull(self, hold: Hold) -> None:
        try:
            with _measured("pull"):
                hold.pull()
        except ApiError:
            self._entry = self._entry.not_begun()
            self._place.journal.write(self._entry)
            raise

    def _start(self, claim: Claim, hold: Hold) -> Computed | None:
        """Have it computed; None when it must be begun again, as the journal then says."""
        request = Request(self._place.name, claim, self._entry.samples_at_once)
        try:
            return self._trainer.compute(request, lambda progress: _heard(hold, progress))
        except ChildDiedError as error:
            log.warning("%s", error)
            if not error.out_of_memory:
                self._again(self._entry.begun_again(str(error)))
                return None
            sentence = f"{error} for want of memory"
        except FailedError as error:
            if error.code is not FailureCode.OUT_OF_MEMORY:
                raise
            sentence = error.sentence
        self._trainer.kill()  # a fresh one has its memory whole
        self._begin_smaller(claim, sentence)
        return None

    def _begin_smaller(self, claim: Claim, sentence: str) -> None:
        """Begin again with half as many samples at once. Raises FailedError where that is none."""
        smaller = None
        if claim.kind is not AssignmentKind.PLAN:
            smaller = self._entry.halved(claim.spec.training.batch_size)
        if smaller is None:
            raise FailedError(
                FailureCode.OUT_OF_MEMORY,
                f"the memory does not suffice, even for one sample at a time: use a machine with "
                f"more, or a smaller base ({sentence})",
            )
        log.warning("out of memory, again with at most %s samples at once", smaller.samples_at_once)
        self._again(smaller)

    def _again(self, entry: Entry) -> None:
        self._entry = entry
        self._place.journal.write(entry)
        self._check_starts()

    def _check_starts(self) -> None:
        if not may_start(self._entry.starts):
            died = f" ({self._entry.died})" if self._entry.died else ""
            raise FailedError(
                FailureCode.INTERNAL,
                f"begun {MOST_STARTS} times without coming to an end{died}: look at this worker's "
                "log and at the memory of its machine",
            )

    def _send(self, hold: Hold) -> None:
        began = time.monotonic()
        with _measured("upload"):
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
            self._place.personal_files(self._entry.job_id).promote(digest)
        self._place.note_for_shelf(self._entry.job_id, self._entry.shelf)
        crash_point("worker.promoted")
        self._drop()

    def _note(self, stage: Stage, result: AssignmentResult) -> None:
        entry = self._entry.model_copy(update={"stage": stage, "result": result})
        self._place.journal.write(entry)
        self._entry = entry
        crash_point(f"worker.{stage}")

    def _give_back(self) -> bool:
        """Release the assignment, so that this attempt does not count."""
        try:
            self._api.release(self._entry.held)
        except ApiError as error:
            return self._not_said("not given back", error)
        return self._drop()

    def _fail(self, error: FailedError) -> bool:
        held = self._entry.held
        self._end = "failed"
        try:
            self._api.failure(held.assignment_id, error.under(held))
        except ApiError as problem:
            return self._not_said("the failure was not reported", problem)
        return self._drop()

    def _not_said(self, what: str, error: ApiError) -> bool:
        """Whether nobody waits to hear it any more, so that nothing stays in hand."""
        keep = when_not_said(error.problem.status) is Ending.KEEP
        then = "it waits" if keep else "the coordinator does not want it from here: it is dropped"
        log.warning("%s (%s); %s", what, error, then)
        return not keep and self._drop()

    def _drop(self) -> bool:
        """Nothing is in hand any more."""
        self._place.drop()
        return True


@contextmanager
def _measured(phase: Phase) -> Iterator[None]:
    """Count a phase of the worker's own, however it ends."""
    spent = Spent()
    try:
        with tracing.span(phase), spent.phase(phase):
            yield
    finally:
        METERS.spent(spent)


def _heard(hold: Hold, progress: float) -> None:
    if progress > 0:
        crash_point("worker.training")
    hold.check(progress)


def _failed(error: Exception) -> FailedError:
    """What the coordinator hears; unexpected errors may quote data and stay in the worker's log."""
    match error:
        case FailedError():
            return error
        case ArtifactError():
            return FailedError(FailureCode.REFUSED, str(error))
        case MemoryError():
            return FailedError(FailureCode.OUT_OF_MEMORY, "the worker itself has no memory left")
        case StateError():
            return FailedError(FailureCode.STATE_MISMATCH, str(error))
    name = str(error) if isinstance(error, UnexpectedError) else type(error).__name__
    unexpected = FailedError(FailureCode.INTERNAL, f"unexpected {name}: see this worker's log")
    return of_disk(error) or unexpected
