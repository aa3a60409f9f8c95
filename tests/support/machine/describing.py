"""Rules of the planner, who says what a job's components are."""

from urllib.parse import urlencode

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.support.machine.arena import PLANNER
from tests.support.machine.base import FAULTS, PICK, Expectation, Faults
from tests.support.machine.hands import Hand
from tests.support.machine.reference import need
from tests.support.machine.rows import Work
from tests.support.machine.workers import STALE, Workers


class Describing(Workers):
    """Catalogues, whole and not."""

    def describes(self, hand: Hand, fault: Faults = None, *, whole: bool = True) -> None:
        """The planner says what the components are."""
        catalogue = hand.catalogue
        if not whole:
            catalogue["components"].popitem()
        path = f"/v1/assignments/{hand.id}/catalogue?{urlencode(hand.lease)}"
        self.ask(fault, lambda: self._described(hand, whole), PLANNER, f"PUT {path}", catalogue)

    def _described(self, hand: Hand, whole: bool) -> Expectation:
        work = self.reference.work[hand.id]
        if not self.current(work, hand) or work.job.ended:
            return STALE
        if not whole:
            return Expectation(422, "wrong_catalogue")
        return Expectation(204, then=lambda _: self._keep_catalogue(work, hand))

    def _keep_catalogue(self, work: Work, hand: Hand) -> None:
        hand.described = True
        work.job.catalogue = hand.catalogue

    @rule(pick=PICK, whole=st.sampled_from([True, True, False]), fault=FAULTS)
    def describe(self, pick: int, whole: bool, fault: Faults) -> None:
        self.step("describe")
        hand = self.any_hand(PLANNER, pick)
        if hand is not None and hand.claim["kind"] == "plan":
            self.describes(hand, fault, whole=whole)
            self._reload_catalogue(hand)

    def _reload_catalogue(self, hand: Hand) -> None:
        """What became of a catalogue whose answer is not known."""
        job = self.reference.work[hand.id].job
        query = ("SELECT base_digest FROM jobs WHERE id = %s", [job.id])
        [[row]] = self.arena.query(query)
        if self.faulted and row["base_digest"]:
            job.catalogue = hand.catalogue
        need(bool(row["base_digest"]) == bool(job.catalogue), f"the catalogue of {job.id}")
