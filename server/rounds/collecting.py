"""When a round has enough: the decision, without the database."""

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum

from shared.states import ASSIGNMENT_TERMINAL, AssignmentState


class Verdict(StrEnum):
    """What is to be done with an open round."""

    WAIT = "wait"
    CLOSE = "close"
    FAIL = "fail"


def decide(states: Iterable[AssignmentState], quorum: int, *, late: bool) -> Verdict:
    """Close when all have ended, or the deadline passed, with `quorum` accepted.

    Fail as soon as the quorum cannot be reached any more; otherwise wait. So every round ends at
    its deadline at the latest.
    """
    counts = Counter(states)
    accepted = counts[AssignmentState.ACCEPTED]
    active = sum(n for state, n in counts.items() if state not in ASSIGNMENT_TERMINAL)
    if accepted >= quorum and (active == 0 or late):
        return Verdict.CLOSE
    if late or accepted + active < quorum:
        return Verdict.FAIL
    return Verdict.WAIT
