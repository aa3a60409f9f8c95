"""Finds rows that have not ended and have no future: what no timer would ever move again."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import Session

from server.context import Context
from server.database import lock_job
from server.lifecycle import record
from server.tables import Assignment, Event, Job, Round
from server.upkeep.scrub import damaged
from shared.logs import about
from shared.states import (
    ASSIGNMENT_ACTIVE,
    ASSIGNMENT_CLAIMABLE,
    JOB_ACTIVE,
    ROUND_TERMINAL,
    AssignmentState,
    JobState,
    RoundState,
)

LATE = timedelta(minutes=10)  # sixty times what a sound coordinator needs
STUCK = "watchdog.stuck"

_log = logging.getLogger(__name__)
_BATCH = 100
_LIVE = set(RoundState) - ROUND_TERMINAL
_NEEDS_ROUND = JOB_ACTIVE - {JobState.SUBMITTED, JobState.PAUSED, JobState.CANCELLING}


@dataclass(frozen=True, slots=True)
class Finding:
    """A row without a future."""

    code: str
    job_id: UUID
    row_id: UUID
    sentence: str

    @property
    def key(self) -> str:
        """What makes it the same finding the next time."""
        return f"{self.code} {self.row_id}"


def find(session: Session, late: timedelta = LATE) -> list[Finding]:
    """All rows that have not ended and that nothing will move; `late` counts as long ago."""
    return [*_jobs(session, late), *_rounds(session, late), *_assignments(session, late)]


def findings(session: Session, late: timedelta = LATE) -> list[str]:
    """What `find` finds, and the artifacts that are damaged, as sentences."""
    return [*(finding.sentence for finding in find(session, late)), *damaged(session).values()]


def watch(context: Context) -> None:
    """Report each finding once: an event of its job, and an error in the log."""
    with context.sessions.begin() as session:
        found = find(session)
    for finding in found:
        with context.sessions.begin() as session:
            lock_job(session, finding.job_id)
            if not _reported(session, finding):
                data = {"key": finding.key, "code": finding.code, "reason": finding.sentence}
                record(session, STUCK, finding.job_id, {**data})
                with about(job=finding.job_id):
                    _log.error("%s", finding.sentence)


def _reported(session: Session, finding: Finding) -> bool:
    query = exists().where(
        Event.job_id == finding.job_id,
        Event.kind == STUCK,
        Event.data["key"].as_string() == finding.key,
    )
    return bool(session.scalar(select(query)))


def _jobs(session: Session, late: timedelta) -> Iterator[Finding]:
    alive = exists().where(Round.job_id == Job.id, Round.state.in_(_LIVE))
    without = select(Job.id).where(Job.state.in_(_NEEDS_ROUND), ~alive).limit(_BATCH)
    for job_id in session.scalars(without):
        sentence = f"Job {job_id} lives and has no open round: cancel it, and report this fault."
        yield Finding("no_round", job_id, job_id, sentence)
    due = and_(Job.state.in_(JOB_ACTIVE - {JobState.PAUSED}), Job.due_at < func.now() - late)
    for job_id, at in session.execute(select(Job.id, Job.due_at).where(due).limit(_BATCH)):
        sentence = f"Job {job_id} is due since {at}: look at the coordinators' logs."
        yield Finding("overdue", job_id, job_id, sentence)


def _rounds(session: Session, late: timedelta) -> Iterator[Finding]:
    limit = func.now() - late
    going = Job.state != JobState.PAUSED
    query = select(Round).join(Job, Job.id == Round.job_id).where(going).limit(_BATCH)
    open_ = query.where(Round.state == RoundState.OPEN, Round.deadline_at < limit)
    for row in session.scalars(open_):
        sentence = (
            f"Round {row.number} ({row.phase}) of job {row.job_id} is open, past its deadline at "
            f"{row.deadline_at}: look at the coordinators' logs."
        )
        yield Finding("past_deadline", row.job_id, row.id, sentence)
    closed_lately = exists().where(
        Event.job_id == Round.job_id,
        Event.kind == f"round.{RoundState.AGGREGATING}",
        Event.at > limit,
    )
    left = and_(Round.state == RoundState.AGGREGATING, Round.lease_until < limit, ~closed_lately)
    for row in session.scalars(query.where(left)):
        sentence = (
            f"Round {row.number} of job {row.job_id} is not aggregated, and nobody has taken it "
            f"since {row.lease_until}: look at the coordinators' logs."
        )
        yield Finding("aggregation_left", row.job_id, row.id, sentence)


def _assignments(session: Session, late: timedelta) -> Iterator[Finding]:
    limit = func.now() - late
    kinds: dict[str, tuple[ColumnElement[bool], str]] = {
        "lease_forgotten": (
            and_(Assignment.state == AssignmentState.LEASED, Assignment.lease_until < limit),
            "is leased, and its lease ended long ago: look at the coordinators' logs",
        ),
        "never_hinted": (
            and_(
                Assignment.state.in_(ASSIGNMENT_CLAIMABLE),
                Assignment.hint_at < limit,
                Assignment.not_before < limit,
                Job.state != JobState.PAUSED,
            ),
            "waits to be claimed, and nobody hints it: look at the coordinators' logs",
        ),
        "outlived_its_round": (
            and_(
                Assignment.state.in_(ASSIGNMENT_ACTIVE),
                or_(Round.state.in_(ROUND_TERMINAL), Job.state.not_in(JOB_ACTIVE)),
            ),
            "is open in a round or job that has ended: report this fault",
        ),
    }
    query = (
        select(Assignment)
        .join(Round, Round.id == Assignment.round_id)
        .join(Job, Job.id == Assignment.job_id)
        .limit(_BATCH)
    )
    for code, (condition, what) in kinds.items():
        for row in session.scalars(query.where(condition)):
            who = f"Assignment {row.id} of {row.client_id or 'the planner'}"
            yield Finding(code, row.job_id, row.id, f"{who} {what}.")
