"""The page of states and of why something waits, made of shared/states.py and shared/waiting.py."""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from functools import reduce
from typing import TypeVar

from docs.markdown import code, table
from shared.states import (
    ASSIGNMENT_TRANSITIONS,
    JOB_TRANSITIONS,
    ROUND_TRANSITIONS,
    AssignmentState,
    JobState,
    RoundState,
)
from shared.waiting import Cause

S = TypeVar("S", bound=StrEnum)

_HEAD = """\
# States

Jobs, rounds and assignments are rows in Postgres, each in one state. One function moves them
(`server/lifecycle.py`): it locks the row, checks `shared/states.py`, and writes the state and an
event (`job.running`, `assignment.accepted`, ...) in the same transaction. A state with nothing
behind it is final. In the figures *going* stands for every state that is named above them.
"""
_WAITING = """
## Why something waits

All that is not final says why it waits, for whom, since when, until when, and what happens then:
`tapestry why JOB`, `GET /v1/jobs/{job_id}/waiting`, [the page](../how-to/page.md), and `waiting` of
a [dry run](../how-to/dry-run.md).

"""
_GOING = "going"
_JOB = {
    JobState.SUBMITTED: "Stored; the coordinator has not begun.",
    JobState.PLANNING: "A planner makes version 0 and the catalogue of its components.",
    JobState.RUNNING: "Stage one: rounds of training, one open at a time.",
    JobState.PERSONALIZING: "Stage two at every client, where the algorithm has one.",
    JobState.EVALUATING: "Every client measures its models on its own splits.",
    JobState.PAUSED: "Nothing new begins and no deadline runs; what clients hold is still taken. "
    "`resume` goes back to the state before.",
    JobState.CANCELLING: "Its assignments and its round are ended next.",
    JobState.SUCCEEDED: "There is a report.",
    JobState.CANCELLED: "An operator cancelled it.",
    JobState.FAILED: "With a code and a sentence that says what to do.",
}
_ROUND = {
    RoundState.OPEN: "Its clients are asked, and their results are taken.",
    RoundState.AGGREGATING: "It has what it needs and is averaged.",
    RoundState.PUBLISHED: "Its version is there; rounds of stage two and evaluation have none.",
    RoundState.FAILED: "It missed its quorum or its average, or the job ended.",
}
_ASSIGNMENT = {
    AssignmentState.QUEUED: "Waits to be claimed; its worker is hinted again and again.",
    AssignmentState.LEASED: "Claimed; heartbeats renew the lease.",
    AssignmentState.SUSPECT: "A lease was missed; the worker may resume the same attempt.",
    AssignmentState.ACCEPTED: "Its result was checked and counts.",
    AssignmentState.FAILED: "It cannot be done, or no attempt is left.",
    AssignmentState.SUPERSEDED: "The round closed, or failed, without it.",
    AssignmentState.CANCELLED: "The job was cancelled.",
}
_IN_ROUND = "job, round"
_IN_ALL = "job, round, assignment"
_OF_ONE = "assignment"
_OF_PLANNERS = "assignment, dry run"
_CAUSES = {
    Cause.NOT_LOOKED_AT: ("job", "The coordinator has not looked at it since it was submitted."),
    Cause.WAITS_FOR_RESULTS: (_IN_ROUND, "The round needs more results, or waits for the others."),
    Cause.CLOSING: (_IN_ROUND, "The round is complete or over; the coordinator has yet to see it."),
    Cause.AGGREGATING: (_IN_ROUND, "A coordinator averages the round, under a lease."),
    Cause.AGGREGATION_DUE: (_IN_ROUND, "No coordinator has begun to average the round."),
    Cause.AGGREGATION_FAILED: (_IN_ROUND, "An attempt to average failed."),
    Cause.STORE_TAKES_NO_WRITES: (_IN_ROUND, "The artifacts' disk is full, or has failed."),
    Cause.PAUSED: (_IN_ALL, "An operator has paused the job."),
    Cause.CANCELLING: (_IN_ALL, "The job is being cancelled."),
    Cause.STUCK: ("job", "None of its rounds is open: a fault to report."),
    Cause.PAUSE_AFTER_FAILURE: (_OF_ONE, "An attempt failed; the next begins after a pause."),
    Cause.CLIENT_BUSY: (_OF_ONE, "The client works on another assignment."),
    Cause.CLIENT_SILENT: (_OF_ONE, "The client was not heard of though there is work for it."),
    Cause.PLANNER_SILENT: ("dry run", "No planner was heard of."),
    Cause.NOT_CLAIMED: (_OF_PLANNERS, "Nobody has claimed it yet."),
    Cause.WORKING: (_OF_PLANNERS, "A worker is at it."),
    Cause.LEASE_MISSED: (_OF_ONE, "Its worker has sent no heartbeat in time, and may resume it."),
}


def page() -> str:
    """States with what may follow them, and the causes of waiting."""
    causes = ((f"`{cause}`", *_CAUSES[cause]) for cause in Cause)
    return "".join(
        [
            _HEAD,
            *_section("Job", JOB_TRANSITIONS, _JOB),
            *_section("Round", ROUND_TRANSITIONS, _ROUND),
            *_section("Assignment", ASSIGNMENT_TRANSITIONS, _ASSIGNMENT),
            _WAITING,
            table(("cause", "of", "what is the case"), causes),
        ]
    )


def _section(name: str, targets: Mapping[S, frozenset[S]], says: Mapping[S, str]) -> Iterator[str]:
    anywhere = _anywhere(targets)
    rows = (
        (f"`{state}`", says[state], code(_ordered(after - anywhere, targets)))
        for state, after in targets.items()
    )
    yield f"\n## {name}\n\n" + table(("state", "what is the case", "next"), rows)
    going = code(state for state, after in targets.items() if anywhere <= after)
    yield f"\nFrom {going} it may also go to {code(_ordered(anywhere, targets))}.\n"
    yield "\n```mermaid\nstateDiagram-v2\n" + "".join(_arrows(targets, anywhere)) + "```\n"


def _anywhere(targets: Mapping[S, frozenset[S]]) -> frozenset[S]:
    """What every state may become that has a choice."""
    return reduce(frozenset.__and__, (after for after in targets.values() if len(after) > 1))


def _ordered(states: frozenset[S], order: Iterable[S]) -> list[S]:
    return [state for state in order if state in states]


def _arrows(targets: Mapping[S, frozenset[S]], anywhere: frozenset[S]) -> Iterator[str]:
    yield f"    [*] --> {next(iter(targets))}\n"
    for state, after in targets.items():
        for target in _ordered(after - anywhere, targets):
            yield f"    {state} --> {target}\n"
        if not after:
            yield f"    {state} --> [*]\n"
    for target in _ordered(anywhere, targets):
        yield f"    {_GOING} --> {target}\n"
