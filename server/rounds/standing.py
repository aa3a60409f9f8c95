"""How an open round stands: what it has, until when it waits, and what is to be done with it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from server.rounds.collecting import States, Terms, Verdict, decide, missing
from server.rounds.sampling import draw
from shared.job_spec import JobSpec
from shared.messages import AssignmentKind
from shared.states import AssignmentState

LOOK_AGAIN = timedelta(seconds=10)


class Row(Protocol):
    """What of a round decides."""

    phase: AssignmentKind
    number: int
    quorum: int
    target: int
    extensions: int
    deadline_at: datetime
    quorum_at: datetime | None


def needs(phase: AssignmentKind, spec: JobSpec, asked: int) -> tuple[int, int]:
    """The quorum and the target of a round that asks so many clients."""
    if phase is AssignmentKind.TRAIN:
        return spec.quorum, spec.clients_per_round
    return 1, asked


def judge(row: Row, states: States, spec: JobSpec, now: datetime) -> Verdict:
    """What is to be done with the round now."""
    return decide(
        states,
        terms_of(row, spec, len(states)),
        late=is_late(row, now),
        grace_over=waits_until(row, spec) <= now,
    )


def reaches_quorum(row: Row, states: States) -> bool:
    """Whether the quorum is there, and was not before."""
    return row.quorum_at is None and states.count(AssignmentState.ACCEPTED) >= row.quorum


def terms_of(row: Row, spec: JobSpec, asked: int) -> Terms:
    """The round's terms once `asked` clients have been asked; only training asks others."""
    training = row.phase is AssignmentKind.TRAIN
    return Terms(
        quorum=row.quorum,
        target=row.target,
        spare=len(spec.clients) - asked if training else 0,
        extensions_left=spec.rounds.extensions - row.extensions,
    )


def is_late(row: Row, now: datetime) -> bool:
    """Whether the round's deadline has passed."""
    return row.deadline_at <= now


def waits_until(row: Row, spec: JobSpec) -> datetime:
    """The deadline, or the end of the grace once a training round has its quorum."""
    grace = spec.rounds.grace
    if row.phase is not AssignmentKind.TRAIN or grace is None or row.quorum_at is None:
        return row.deadline_at
    return min(row.deadline_at, row.quorum_at + grace)


def look_again(until: datetime, now: datetime) -> datetime:
    """When a job that waits is looked at next: at `until`, or soon in any case."""
    return min(until, now + LOOK_AGAIN)


def replacements(
    row: Row, spec: JobSpec, asked: Sequence[str | None], states: States, *, late: bool
) -> list[str]:
    """Who is asked in place of the missing ones: the next of the round's draw; in training only."""
    if row.phase is not AssignmentKind.TRAIN:
        return []
    n = spec.asked_for(missing(states, row.target, late=late))
    return [c for c in draw(spec.seed, row.number, spec.clients) if c not in asked][:n]


def over_budget(n_failed: int, spec: JobSpec) -> bool:
    """Whether more assignments of clients have failed than the job may bear."""
    budget = spec.rounds.failure_budget
    return budget is not None and n_failed > budget


def move_on(row: Row, paused: timedelta) -> None:
    """Move the times of a round whose job was paused: its clients lose no time by it."""
    row.deadline_at += paused
    if row.quorum_at is not None:
        row.quorum_at += paused
