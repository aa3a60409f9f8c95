"""When a round has enough: the decision, without the database."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from shared.states import ASSIGNMENT_TERMINAL, AssignmentState

States = Sequence[AssignmentState]


class Verdict(StrEnum):
    """What is to be done with an open round."""

    WAIT = "wait"
    CLOSE = "close"
    EXTEND = "extend"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a round needs, and what is left to get it.

    Without `quorum` accepted it fails, with `target` it closes; `spare` clients could still be
    asked.
    """

    quorum: int
    target: int
    spare: int = 0
    extensions_left: int = 0


def decide(states: States, terms: Terms, *, late: bool, grace_over: bool = False) -> Verdict:
    """Close with `target` accepted, or with the quorum when nobody is awaited any more.

    Without the quorum, extend when the deadline passed or those who were asked cannot reach it,
    while there are extensions; fail when there are none, or as soon as nothing can reach it.
    """
    accepted, active = _counts(states)
    if accepted >= terms.target:
        return Verdict.CLOSE
    if accepted >= terms.quorum:
        return Verdict.CLOSE if active == 0 or late or grace_over else Verdict.WAIT
    reachable = accepted + active >= terms.quorum
    if reachable and not late:
        return Verdict.WAIT
    hopeless = accepted + active + terms.spare < terms.quorum
    return Verdict.FAIL if hopeless or not terms.extensions_left else Verdict.EXTEND


def missing(states: States, target: int, *, late: bool) -> int:
    """How many more must deliver; after the deadline nobody counts on those who have not."""
    accepted, active = _counts(states)
    return max(target - accepted - (0 if late else active), 0)


def _counts(states: States) -> tuple[int, int]:
    """How many are accepted, and how many may still be."""
    counts = Counter(states)
    active = sum(n for state, n in counts.items() if state not in ASSIGNMENT_TERMINAL)
    return counts[AssignmentState.ACCEPTED], active
