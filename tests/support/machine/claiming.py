"""Rules of claiming: with a lease in hand or without, named or not, also somebody else's."""

from typing import Any
from uuid import uuid4

from hypothesis import strategies as st
from hypothesis.stateful import rule

from shared.messages import LEASE_HEADER
from shared.states import ASSIGNMENT_CLAIMABLE, ASSIGNMENT_HELD, AssignmentState
from tests.support.machine.arena import CLIENTS, LEASE, PLANNER
from tests.support.machine.base import FAULTS, PICK, Expectation, Faults, chosen
from tests.support.machine.calls import Answer
from tests.support.machine.hands import Hand
from tests.support.machine.observing import Observing
from tests.support.machine.reference import need
from tests.support.machine.rows import Work

WHO = st.sampled_from([*CLIENTS, *CLIENTS, PLANNER])
_NAMES = st.sampled_from(["none", "none", "kept", "kept", "kept", "new", "of the last hand"])


class Claiming(Observing):
    """Workers with what they have in hand."""

    def __init__(self) -> None:
        super().__init__()
        self.hands: dict[str, list[Hand]] = {who: [] for who in (*CLIENTS, PLANNER)}
        self.names: dict[str, str] = {}  # of the lease that each asks for, as beside its journal

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

    @rule(who=WHO, shown=st.sampled_from([None, None, 0, 0, 1, 2]), named=_NAMES, fault=FAULTS)
    def claim(self, who: str, shown: int | None, named: str, fault: Faults) -> None:
        self.step("claim")
        hand = None if shown is None else self.any_hand(who, shown)
        self.claims(who, hand, fault, self._name(who, named))

    def _name(self, who: str, named: str) -> str | None:
        if named == "none":
            return None
        if named == "new" or who not in self.names:
            self.names[who] = str(uuid4())
        last = self.any_hand(who, 0)
        if named == "of the last hand" and last is not None:
            self.names[who] = last.lease["lease_id"]
        return self.names[who]

    @rule(who=WHO, pick=PICK)
    def claim_with_a_lease_of_somebody_else(self, who: str, pick: int) -> None:
        self.step("claim with a foreign lease")
        self.claims(who, self.any_hand(who, pick, foreign=True), None)

    def claims(
        self, who: str, shown: Hand | None, fault: Faults = None, name: str | None = None
    ) -> Hand | None:
        """Claim; the new hand, if there was something to do and nothing befell the call."""
        body = {"held": shown.held} if shown else None
        before = len(self.hands[who])
        self.ask(
            fault,
            lambda: self._claimed(who, shown, name),
            who,
            "POST /v1/assignments:claim",
            body,
            later=lambda answer: self._claimed_late(who, answer),
            **({LEASE_HEADER: name} if name else {}),
        )
        return self.hands[who][-1] if len(self.hands[who]) > before else None

    def _claimed(self, who: str, shown: Hand | None, name: str | None) -> Expectation:
        again = self._shown(who, shown) or self._given(who, name)
        if again is not None:
            return Expectation(200, then=lambda a: self._takes(who, {again}, a, again=True))
        wanted = self.most_urgent(who)
        if not wanted:
            return Expectation(204)
        used = self.arena.query(("SELECT 1 FROM attempts WHERE lease_id = %s", [name]))
        fresh = None if used else name
        return Expectation(200, then=lambda a: self._takes(who, wanted, a, name=fresh))

    def _shown(self, who: str, hand: Hand | None) -> Work | None:
        """What the worker shows, if it may go on with it."""
        work = self.own(who, hand) if hand else None
        if hand is None or work is None or not self.current(work, hand) or work.job.ended:
            return None
        return work if self._may_go_on(who, work) else None

    def _given(self, who: str, name: str | None) -> Work | None:
        """What a claim under that name was given already, so that it is given again."""
        held = [work for work in self._of(who) if work.state in ASSIGNMENT_HELD]
        for work in held:
            if work.lease_id == name and not work.job.ended and self._may_go_on(who, work):
                return work if work.job.works or work.state is AssignmentState.LEASED else None
        return None

    def _may_go_on(self, who: str, work: Work) -> bool:
        return work.state is AssignmentState.LEASED or not self._leased(who)

    def _of(self, who: str) -> list[Work]:
        client = None if who == PLANNER else who
        return [work for work in self.reference.work.values() if work.client == client]

    def _leased(self, who: str) -> list[Work]:
        """What keeps a client from another claim; nothing keeps the planner."""
        mine = [] if who == PLANNER else self._of(who)
        return [work for work in mine if work.state is AssignmentState.LEASED]

    def _claimable(self, who: str) -> list[Work]:
        if self._leased(who):
            return []
        return [
            work
            for work in self._of(who)
            if work.state in ASSIGNMENT_CLAIMABLE
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

    def _takes(
        self,
        who: str,
        wanted: set[Work],
        answer: Answer,
        *,
        again: bool = False,
        name: str | None = None,
    ) -> None:
        work = self.reference.work[answer.body["assignment_id"]]
        need(work in wanted, f"{who} was given {work.id}, expected {[w.id for w in wanted]}")
        lease = answer.body["lease"]
        attempt = work.attempt if again else work.attempt + 1
        need(lease["attempt"] == attempt, f"I2 {work.id}: {lease}, expected {attempt}")
        need(again == (lease["id"] == work.lease_id), f"I2 {work.id}: {lease}")
        need(name in {None, lease["id"]}, f"{work.id} has lease {lease}, asked for was {name}")
        personal = work.job.personal.get(work.client or "")
        need(answer.body["state_digest"] == personal, f"I8 {work.id}: {answer.body}")
        if work.job.versions and work.kind != "plan":
            manifest = work.job.versions[answer.body["version"]]
            mine = {name: manifest[name] for name in work.components}
            need(answer.body["manifest"] == mine, f"I6 {work.id}: {answer.body['manifest']}")
        work.lease_id, work.lease_until = lease["id"], self.now + LEASE
        hand = Hand(answer.body)
        if hand.held not in [each.held for each in self.hands[who]]:
            self.hands[who].append(hand)

    def _claimed_late(self, who: str, answer: Answer) -> None:
        """A claim that was frozen: whatever it is given must be claimable now."""
        self.judged(f"late claim by {who}", answer)
        if answer.status != 200:
            need(answer.status == 204, f"late claim by {who}: {answer}")
            return
        work = self.reference.work[answer.body["assignment_id"]]
        again = answer.body["lease"]["id"] == work.lease_id
        self._takes(who, {work}, answer, again=again)
