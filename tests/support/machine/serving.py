"""Rules of good workers, who do the next thing that there is to do."""

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.support.machine.arena import CLIENTS, PLANNER
from tests.support.machine.claiming import WHO
from tests.support.machine.hands import Hand
from tests.support.machine.rows import Work
from tests.support.machine.senders import N_BYTES, Senders


class Serving(Senders):
    """Workers that bring jobs to their end."""

    @rule(who=WHO, n=st.integers(1, 6), value=st.integers(0, 3))
    def serve(self, who: str, n: int, value: int) -> None:
        self.step("serve")
        for _ in range(n):
            if not self.serves(who, value):
                return
            self.observe()

    @rule(value=st.integers(0, 3))
    def serve_all(self, value: int) -> None:
        self.step("serve all")
        for who in (PLANNER, *CLIENTS):
            for _ in range(6):
                if not self.serves(who, value):
                    break
                self.observe()

    def serves(self, who: str, value: int) -> bool:
        """The next thing that a good worker does; whether it did something."""
        last = next((h for h in reversed(self.hands[who]) if not h.dropped), None)
        work = self.reference.work[last.id] if last else None
        if last is None or work is None or not self.current(work, last) or work.job.ended:
            return self._claims_next(who, last)
        if work.kind == "plan" and not last.described:
            self.describes(last)
            return True
        if not last.files:
            last.make_files(self.reference.averages, value)
        return self._delivers(who, work, last)

    def _claims_next(self, who: str, last: Hand | None) -> bool:
        if last is not None:
            last.dropped = True
            return True
        return bool(self.most_urgent(who)) and self.claims(who, None) is not None

    def _delivers(self, who: str, work: Work, hand: Hand) -> bool:
        left = {c for c in hand.components.items() if c not in work.arrived}
        upload = work.uploads.get(hand.upload or "")
        if not left:
            answer = self.reports(who, hand, hand.result())
            hand.dropped = True
            return answer is not None
        if upload is None or upload.complete or upload.attempt != work.attempt:
            files = {name: (sha, N_BYTES) for name, sha in hand.components.items()}
            self.announces(who, hand, files, hand.lease["attempt"])
            return True
        offset = len(upload.received)
        self.sends(who, work, upload, self.stream(upload, hand)[offset:], offset)
        return True
