"""Rules of workers: claiming, keeping, and ending assignments, rightly and wrongly."""

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from shared.messages import RETRYABLE, FailureCode
from shared.states import (
    ASSIGNMENT_CLAIMABLE,
    ASSIGNMENT_HELD,
    AssignmentState,
)
from tests.support.machine.arena import CLIENTS, LEASE, PLANNER, RETRY
from tests.support.machine.base import FAULTS, PICK, Expectation, Faults, chosen
from tests.support.machine.calls import Answer
from tests.support.machine.hands import Hand
from tests.support.machine.observing import Observing
from tests.support.machine.reference import need
from tests.support.machine.rows import Work

WHO = st.sampled_from([*CLIENTS, *CLIENTS, PLANNER])
STALE = Expectation(409, "stale_lease")
MISSING = Expectation(404, "not_found")
_LONGEST = timedelta(minutes=1)


class Workers(Observing):
    """Workers with what they have in hand."""

    def __init__(self) -> None:
        super().__init__()
        self.hands: dict[str, list[Hand]] = {who: [] for who in (*CLIENTS, PLANNER)}

    def own(self, who: str, hand: Hand) -> Work | None:
        """The work in that hand, if it is the caller's."""
        work = self.reference.work.get(hand.id)
        client = None if who == PLANNER else who
        return work if work is not None and work.client == client else None

    def current(self, work: Work, hand: Hand) -> bool:
        """Whether the hand holds the lease under which the work is being done."""
        same = hand.lease == {"lease_id": work.lease_id, "attempt": work.attempt}
        return same and work.state in ASSIGNMENT_HELD

    def any_hand(self, who: str, pick: int, *, foreign: bool = False) -> Hand | None:
        """A claim that this one, or somebody else, has ever had; 0: the newest."""
        if foreign:
            every = [hand for other, hands in self.hands.items() if other != who for hand in hands]
            return chosen(pick, every)
        return chosen(pick, self.hands[who])

    # claiming

    @rule(who=WHO, shown=st.sampled_from([None, None, 0, 0, 1, 2]), fault=FAULTS)
    def claim(self, who: str, shown: int | None, fault: Faults) -> None:
        self.step("claim")
        self.claims(who, None if shown is None else self.any_hand(who, shown), fault)

    @rule(who=WHO, pick=PICK)
    def claim_with_a_lease_of_somebody_else(self, who: str, pick: int) -> None:
        self.step("claim with a foreign lease")
        self.claims(who, self.any_hand(who, pick, foreign=True), None)

    def claims(self, who: str, shown: Hand | None, fault: Faults = None) -> Hand | None:
        """Claim; the new hand, if there was something to do and nothing befell the call."""
        body = {"held": shown.held} if shown else None
        before = len(self.hands[who])
        self.ask(
            fault,
            lambda: self._claimed(who, shown),
            who,
            "POST /v1/assignments:claim",
            body,
            later=lambda answer: self._claimed_late(who, answer),
        )
        return self.hands[who][-1] if len(self.hands[who]) > before else None

    def _claimed(self, who: str, shown: Hand | None) -> Expectation:
        work = self.own(who, shown) if shown else None
        if shown and work and self.current(work, shown) and not work.job.ended:
            others = self._leased(who)
            if work.state is AssignmentState.LEASED or not others or who == PLANNER:
                return Expectation(200, then=lambda a: self._takes(who, {work}, a, again=True))
        wanted = self.most_urgent(who)
        if not wanted:
            return Expectation(204)
        return Expectation(200, then=lambda a: self._takes(who, wanted, a))

    def _leased(self, who: str) -> list[Work]:
        mine = [w for w in self.reference.work.values() if w.client == who]
        return [w for w in mine if w.state is AssignmentState.LEASED]

    def _claimable(self, who: str) -> list[Work]:
        client = None if who == PLANNER else who
        if self._leased(who):
            return []
        return [
            work
            for work in self.reference.work.values()
            if work.client == client
            and work.state in ASSIGNMENT_CLAIMABLE
            and (work.not_before is None or work.not_before <= self.now)
            and work.job.works
        ]

    def most_urgent(self, who: str) -> set[Work]:
        """Those of which one must be given; more than one where nothing orders them."""

        def urgency(work: Work) -> tuple[Any, ...]:
            suspect = work.state is AssignmentState.SUSPECT
            return (-work.job.spec.priority, not suspect, work.created_at)

        left = [work for work in self._claimable(who) if not work.exhausted]
        first = min((urgency(work) for work in left), default=None)
        return {work for work in left if urgency(work) == first}

    def _takes(self, who: str, wanted: set[Work], answer: Answer, *, again: bool = False) -> None:
        work = self.reference.work[answer.body["assignment_id"]]
        need(work in wanted, f"{who} was given {work.id}, expected {[w.id for w in wanted]}")
        lease = answer.body["lease"]
        attempt = work.attempt if again else work.attempt + 1
        need(lease["attempt"] == attempt, f"I2 {work.id}: {lease}, expected {attempt}")
        need(again == (lease["id"] == work.lease_id), f"I2 {work.id}: {lease}")
        personal = work.job.personal.get(work.client or "")
        need(answer.body["state_digest"] == personal, f"I8 {work.id}: {answer.body}")
        if work.job.versions and work.kind != "plan":
            manifest = work.job.versions[answer.body["version"]]
            mine = {name: manifest[name] for name in work.components}
            need(answer.body["manifest"] == mine, f"I6 {work.id}: {answer.body['manifest']}")
        work.lease_id, work.lease_until = lease["id"], self.now + LEASE
        if not again:
            self.hands[who].append(Hand(answer.body))

    def _claimed_late(self, who: str, answer: Answer) -> None:
        """A claim that was frozen: whatever it is given must be claimable now."""
        self.judged(f"late claim by {who}", answer)
        if answer.status != 200:
            need(answer.status == 204, f"late claim by {who}: {answer}")
            return
        work = self.reference.work[answer.body["assignment_id"]]
        again = answer.body["lease"]["id"] == work.lease_id
        self._takes(who, {work}, answer, again=again)

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
        busy = who != PLANNER and bool(self._leased(who))
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
        again = code in RETRYABLE and not work.exhausted
        state = AssignmentState.QUEUED if again else AssignmentState.FAILED
        delay = min(RETRY * 2 ** (work.tries - 1), _LONGEST)
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
