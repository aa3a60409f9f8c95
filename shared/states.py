"""States of jobs, rounds and assignments, and which may follow which.

`server.lifecycle.transition` is the only place that writes a state.
"""

from collections.abc import Mapping
from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands."""

    SUBMITTED = "submitted"
    PLANNING = "planning"
    RUNNING = "running"
    PERSONALIZING = "personalizing"
    EVALUATING = "evaluating"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    FAILED = "failed"


class RoundState(StrEnum):
    """Where a round stands."""

    OPEN = "open"
    AGGREGATING = "aggregating"
    PUBLISHED = "published"
    FAILED = "failed"


class AssignmentState(StrEnum):
    """Where an assignment stands; `suspect` has missed its lease but may resume."""

    QUEUED = "queued"
    LEASED = "leased"
    SUSPECT = "suspect"
    ACCEPTED = "accepted"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"


AnyState = JobState | RoundState | AssignmentState

_J, _R, _A = JobState, RoundState, AssignmentState
_JOB_ENDS = frozenset({_J.CANCELLING, _J.FAILED})

JOB_TRANSITIONS: Mapping[JobState, frozenset[JobState]] = {
    _J.SUBMITTED: _JOB_ENDS | {_J.PLANNING, _J.PAUSED},
    _J.PLANNING: _JOB_ENDS | {_J.RUNNING, _J.PAUSED},
    _J.RUNNING: _JOB_ENDS | {_J.PERSONALIZING, _J.EVALUATING, _J.PAUSED},
    _J.PERSONALIZING: _JOB_ENDS | {_J.EVALUATING, _J.PAUSED},
    _J.EVALUATING: _JOB_ENDS | {_J.SUCCEEDED, _J.PAUSED},
    _J.PAUSED: _JOB_ENDS | {_J.SUBMITTED, _J.PLANNING, _J.RUNNING, _J.PERSONALIZING, _J.EVALUATING},
    _J.CANCELLING: frozenset({_J.CANCELLED}),
    _J.SUCCEEDED: frozenset(),
    _J.CANCELLED: frozenset(),
    _J.FAILED: frozenset(),
}

ROUND_TRANSITIONS: Mapping[RoundState, frozenset[RoundState]] = {
    _R.OPEN: frozenset({_R.AGGREGATING, _R.FAILED}),
    _R.AGGREGATING: frozenset({_R.PUBLISHED, _R.FAILED}),
    _R.PUBLISHED: frozenset(),
    _R.FAILED: frozenset(),
}

_ASSIGNMENT_ENDS = frozenset({_A.FAILED, _A.SUPERSEDED, _A.CANCELLED})

ASSIGNMENT_TRANSITIONS: Mapping[AssignmentState, frozenset[AssignmentState]] = {
    _A.QUEUED: _ASSIGNMENT_ENDS | {_A.LEASED},
    _A.LEASED: _ASSIGNMENT_ENDS | {_A.SUSPECT, _A.QUEUED, _A.ACCEPTED},
    _A.SUSPECT: _ASSIGNMENT_ENDS | {_A.LEASED, _A.QUEUED, _A.ACCEPTED},
    _A.ACCEPTED: frozenset(),
    _A.FAILED: frozenset(),
    _A.SUPERSEDED: frozenset(),
    _A.CANCELLED: frozenset(),
}

JOB_TERMINAL = frozenset({_J.SUCCEEDED, _J.CANCELLED, _J.FAILED})
JOB_ACTIVE = frozenset(JobState) - JOB_TERMINAL
ROUND_TERMINAL = frozenset({_R.PUBLISHED, _R.FAILED})
ASSIGNMENT_TERMINAL = _ASSIGNMENT_ENDS | {_A.ACCEPTED}
ASSIGNMENT_ACTIVE = frozenset(AssignmentState) - ASSIGNMENT_TERMINAL
ASSIGNMENT_CLAIMABLE = frozenset({_A.QUEUED, _A.SUSPECT})
ASSIGNMENT_HELD = frozenset({_A.LEASED, _A.SUSPECT})


def may_follow(current: AnyState, target: AnyState) -> bool:
    """Whether `target` may follow `current`; both must be states of the same kind of row.

    Raises TypeError when they are not.
    """
    match current, target:
        case JobState(), JobState():
            return target in JOB_TRANSITIONS[current]
        case RoundState(), RoundState():
            return target in ROUND_TRANSITIONS[current]
        case AssignmentState(), AssignmentState():
            return target in ASSIGNMENT_TRANSITIONS[current]
        case _:
            raise TypeError(f"{current!r} and {target!r} are states of different things")
