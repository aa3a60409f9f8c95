"""Rules of workers: keeping and ending assignments, rightly and wrongly."""

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from shared.messages import RETRYABLE, FailureCode
from shared.states import (
    ASSIGNMENT_HELD,
    AssignmentState,
)
from tests.support.machine.arena import LEASE, RETRY
from tests.support.machine.base import FAULTS, PICK, Expectation, Faults
from tests.support.machine.calls import Answer
from tests.support.machine.claiming import WHO, Claiming
from tests.support.machine.hands import Hand
from tests.support.machine.reference import need
from tests.support.machine.rows import Work

STALE = Expectation(409, "stale_lease")
MISSING = Expectation(404, "not_found")
_FULL = timedelta(seconds=30)  # until a worker whose disk was full is asked again
_LONGEST = timedelta(minutes=1)


class Workers(Claiming):
    """Workers who keep what they have claimed, or end it."""

    # keeping

    @rule(who=WHO, pick=PICK, foreign=st.sampled_from([False] * 5 + [True]), fault=FAULTS)
    def heartbeat(self, who: str, pick: int, foreign: bool, fault: Faults) -> None:
        hand = self.any_hand(who, pick, foreign=foreign)
        self.step("heartbeat")
        if hand is None:
            return
        path = f"/v1/assignments/{hand.id}/heartbeat"
        body = {**hand.lease, "progress": pick / 7}
        self.ask(fault, lambda: self._beaten(who, hand), who, f"POST {path}", body)

    def _beaten(self, who: str, hand: Hand) -> Expectation:
        work = self.own(who, hand)
        if work is None:
            return MISSING

        def answered(instruction: str) -> Expectation:
            def same(answer: Answer) -> None:
                said = answer.body["instruction"]
                need(said == instruction, f"{work.id}: {said}, expected {instruction}")

            return Expectation(200, then=same)

        if work.job.ended or work.state is AssignmentState.CANCELLED:
            return answered("cancel")
        busy = bool(self._leased(who))
        resumes = work.state is AssignmentState.SUSPECT
        if not self.current(work, hand) or (resumes and busy):
            return answered("stale")
        work.lease_until = self.now + LEASE  # the event of resuming says the rest
        return answered("continue")

    # ending

    @rule(who=WHO, pick=PICK, wrong=st.sampled_from(["", "", "", "kind", "task", "upload", "old"]),
          foreign=st.sampled_from([False] * 7 + [True]), fault=FAULTS)  # fmt: skip
    def result(self, who: str, pick: int, wrong: str, foreign: bool, fault: Faults) -> None:
        hand = self.any_hand(who, pick, foreign=foreign)
        self.step(f"result {wrong}".strip())
        if hand is not None:
            self.reports(who, hand, self._spoiled(hand, wrong), fault)

    def _spoiled(self, hand: Hand, wrong: str) -> dict[str, Any]:
        match wrong:
            case "kind":
                return {**hand.lease, "kind": "evaluate", "scores": {}}
            case "task" if hand.claim["kind"] in {"train", "personalize"}:
                return hand.result(losses={"nobody": {}})
            case "upload" if hand.claim["kind"] == "train":
                return hand.result(components={"proj": "f" * 64})
            case "old":
                return hand.result(attempt=hand.lease["attempt"] + 1)
            case _:
                return hand.result()

    def reports(
        self, who: str, hand: Hand, body: dict[str, Any], fault: Faults = None
    ) -> Answer | None:
        """Report a result."""
        work = self.own(who, hand)
        if work is not None and body not in work.sent:
            work.sent.append(body)
        path = f"/v1/assignments/{hand.id}/result"
        return self.ask(fault, lambda: self._reported(who, hand, body), who, f"POST {path}", body)

    def _reported(self, who: str, hand: Hand, body: dict[str, Any]) -> Expectation:
        work = self.own(who, hand)
        if work is None:
            return MISSING
        if work.state is AssignmentState.ACCEPTED and work.result == body:
            return Expectation(200)
        fits = body["lease_id"] == work.lease_id and body["attempt"] == work.attempt
        if not fits or work.state not in ASSIGNMENT_HELD or work.job.ended:
            return STALE
        if body["kind"] != work.kind:
            return Expectation(422, "wrong_kind")
        components = body.get("components", {})
        if work.kind == "plan" and set(components) != set(work.components):
            return Expectation(422, "incomplete")
        if any(each not in work.arrived for each in components.items()):
            return Expectation(422, "missing_upload")
        if "nobody" in body.get("losses", {}):
            return Expectation(422, "unknown_task")
        if work.kind == "plan" and work.job.catalogue is None:
            return Expectation(422, "no_catalogue")
        return Expectation(200)

    @rule(who=WHO, pick=PICK, code=st.sampled_from(FailureCode), fault=FAULTS)
    def failure(self, who: str, pick: int, code: FailureCode, fault: Faults) -> None:
        hand = self.any_hand(who, pick)
        self.step("failure")
        if hand is not None:
            body = {**hand.lease, "code": code, "message": "made up"}
            path = f"/v1/assignments/{hand.id}/failure"
            self.ask(fault, lambda: self._failed(who, hand, code), who, f"POST {path}", body)

    def _failed(self, who: str, hand: Hand, code: FailureCode) -> Expectation:
        work = self.own(who, hand)
        if work is None:
            return MISSING
        if not self.current(work, hand) or work.job.ended:
            return STALE
        full = code is FailureCode.NO_SPACE
        again = full or (code in RETRYABLE and not work.exhausted)
        state = AssignmentState.QUEUED if again else AssignmentState.FAILED
        delay = _FULL if full else min(RETRY * 2 ** (work.tries - 1), _LONGEST)
        return self._becomes(work, state, self.now + delay)

    def _becomes(self, work: Work, state: AssignmentState, not_before: Any) -> Expectation:
        def same(answer: Answer) -> None:
            need(answer.body["state"] == state, f"{work.id}: {answer.body}, expected {state}")
            query = ("SELECT not_before FROM assignments WHERE id = %s", [work.id])
            [[row]] = self.arena.query(query)
            right = state is not AssignmentState.QUEUED or row["not_before"] == not_before
            need(right, f"{work.id} waits until {row}, not {not_before}")

        return Expectation(200, then=same)

    @rule(who=WHO, pick=PICK, fault=FAULTS)
    def release(self, who: str, pick: int, fault: Faults) -> None:
        hand = self.any_hand(who, pick)
        self.step("release")
        if hand is not None:
            path = f"/v1/assignments/{hand.id}/release"
            self.ask(fault, lambda: self._released(who, hand), who, f"POST {path}", hand.lease)

    def _released(self, who: str, hand: Hand) -> Expectation:
        work = self.own(who, hand)
        if work is None:
            return MISSING
        if not self.current(work, hand) or work.job.ended:
            return STALE
        return self._becomes(work, AssignmentState.QUEUED, self.now)
