"""What a worker does with its journal and with what the coordinator answers: pure functions."""

from enum import StrEnum
from typing import Protocol
from uuid import UUID

from shared.messages import Instruction
from shared.problem_codes import Code
from worker.journal import Stage


class Step(StrEnum):
    """The next step of an assignment in hand."""

    COMPUTE = "compute"
    SEND = "send"
    REPORT = "report"
    PROMOTE = "promote"


class Held(Protocol):
    """Which assignment is held, and under which lease."""

    @property
    def assignment_id(self) -> UUID:
        """The assignment."""

    @property
    def lease_id(self) -> UUID:
        """The lease."""

    @property
    def attempt(self) -> int:
        """What fences off earlier holders."""


class Going(StrEnum):
    """How a worker goes on with what is in hand, once a claim is answered with an assignment."""

    BEGIN = "begin"  # what was in hand is no longer wanted
    DELIVER = "deliver"  # what is computed already
    COMPUTE_AGAIN = "compute_again"


class Ending(StrEnum):
    """What becomes of an assignment that could not be brought to its end."""

    KEEP = "keep"  # the journal keeps it for another time
    GIVE_BACK = "give_back"
    DROP = "drop"
    FAIL = "fail"


MOST_STARTS = 3  # under one lease: an assignment that always kills its worker must end
_NOT_NOW = frozenset({401, 408, 429})  # the same request may succeed later: 401 with a renewed key
_GONE = frozenset({403, 404, 409})
_ON_THE_WAY = frozenset({Code.WRONG_HASH, Code.UPLOAD_BUSY, Code.WRONG_OFFSET})  # bytes' mishaps
_STEPS = {
    Stage.CLAIMED: Step.COMPUTE,
    Stage.TRAINED: Step.SEND,
    Stage.UPLOADED: Step.REPORT,
    Stage.ACCEPTED: Step.PROMOTE,
}


def next_step(stage: Stage) -> Step:
    """What comes after a stage: each step is written down before the next begins."""
    return _STEPS[stage]


def needs_claim(stage: Stage | None) -> bool:
    """Whether a worker must claim first; what is uploaded needs no lease."""
    return stage not in {Stage.UPLOADED, Stage.ACCEPTED}


def same_lease(held: Held, claimed: Held) -> bool:
    """Whether a claim is the one that is in hand already."""
    return (held.assignment_id, held.lease_id, held.attempt) == (
        claimed.assignment_id,
        claimed.lease_id,
        claimed.attempt,
    )


def going(held: Held, stage: Stage, claimed: Held, *, whole: bool) -> Going:
    """How to go on with what is in hand, once a claim is answered.

    `whole`: all that was computed is still on the disk.
    """
    if not same_lease(held, claimed):
        return Going.BEGIN
    return Going.DELIVER if stage is Stage.TRAINED and whole else Going.COMPUTE_AGAIN


def may_start(starts: int) -> bool:
    """Whether a computation is begun once more under the same lease."""
    return starts <= MOST_STARTS


def beat_after(lease_s: float) -> float:
    """Seconds between two heartbeats, by the worker's own monotonic clock."""
    return lease_s / 3


def goes_on(instruction: Instruction) -> bool:
    """Whether a heartbeat's answer lets the work go on."""
    return instruction is Instruction.CONTINUE


def is_gone(status: int) -> bool:
    """Whether a refused heartbeat says that the work is in vain; an absent server does not."""
    return status in _GONE


def has_decided(status: int) -> bool:
    """Whether the server has decided; where not, trying again later may help."""
    return 400 <= status < 500 and status not in _NOT_NOW


def is_final(status: int) -> bool:
    """Whether an answer at the start says that this worker cannot serve, such as a wrong key."""
    return 400 <= status < 500 and status not in _NOT_NOW - {401}


def when_withdrawn(*, stopping: bool) -> Ending:
    """A worker that stops gives back; what was taken from it is dropped."""
    return Ending.GIVE_BACK if stopping else Ending.DROP


def when_not_delivered(status: int) -> Ending:
    """What the server refuses has failed; what it could not hear waits."""
    return Ending.FAIL if has_decided(status) else Ending.KEEP


def when_broken(stage: Stage, *, disk: bool) -> Ending:
    """What comes of an error of this worker's own, in a stage that is written down.

    What may be accepted already is not dropped because the disk failed: nobody else has its
    personal state.
    """
    return Ending.KEEP if disk and not needs_claim(stage) else Ending.FAIL


def when_not_put(status: int, code: str) -> Ending:
    """A personal model that did not get onto the shelf: again, unless the server has decided."""
    again = not has_decided(status) or code in _ON_THE_WAY
    return Ending.KEEP if again else Ending.DROP


def when_not_said(status: int) -> Ending:
    """A failure or a release that the server did not take: again, unless it has decided."""
    return Ending.DROP if has_decided(status) else Ending.KEEP
