"""What moves a job on: it looks at the rows and does the next thing.

Level-triggered: safe to call twice, at any time, from anywhere. Each step is one short
transaction under the job's lock; aggregation runs between two of them, under a lease on the round.
"""

import logging
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from server.context import Context
from server.database import killable, lock_job
from server.errors import DATABASE_AWAY
from server.jobs import publishing
from server.jobs.phases import after, begin, fail_job
from server.jobs.renewing import LeaseLostError
from server.lifecycle import transition
from server.rounds.aggregating import Next, next_attempt
from server.rounds.collecting import Verdict
from server.rounds.repository import assignments, database_now, failed_assignments, live_round
from server.rounds.service import end_assignments, extend_round, failed_too_often, missing_quorum
from server.rounds.standing import (
    LOOK_AGAIN,
    is_late,
    judge,
    look_again,
    over_budget,
    reaches_quorum,
    waits_until,
)
from server.specs import spec_of
from server.tables import Job, Round
from server.upkeep.collect import require_kept
from shared.job_spec import JobSpec
from shared.logs import about
from shared.messages import AssignmentKind
from shared.states import AssignmentState, JobState, RoundState
from shared.tracing import span

_log = logging.getLogger(__name__)

# What the next step may be, besides a piece of aggregation:
GO_ON, WAIT = True, False
_BUSY = timedelta(seconds=1)  # until it is seen again whether another round can be averaged


def advance(context: Context, job_id: UUID) -> None:
    """Do all that can be done for the job now. Raises SQLAlchemyError when Postgres is away."""
    while True:
        with killable(context.sessions, "coordinator.step") as session:
            step = _step(context, session, job_id)
        if isinstance(step, publishing.Order):
            context.averaging.run(partial(_average, context, step))
            return
        if step is WAIT:
            return


def _average(context: Context, order: publishing.Order) -> None:
    """Aggregate a round, and go on with its job."""
    named = {"job": order.job_id, "round": order.number}
    seconds = context.meters.aggregation_seconds
    with about(**named), span("aggregate", **named), seconds.time():
        step = _aggregate(context, order)
    if step is GO_ON:
        with about(job=order.job_id):
            advance(context, order.job_id)


def _aggregate(context: Context, order: publishing.Order) -> bool:
    """Aggregate and publish; a failure is noted and tried again after a pause.

    Raises SQLAlchemyError when Postgres is away: that is no failure of the round's.
    """
    ended = context.meters.aggregations.labels
    try:
        made = publishing.aggregate_round(context, order)
        with killable(context.sessions, "coordinator.publish") as session:
            publishing.publish(session, order, made)
            require_kept(context.store, [average.sha256 for average in made.values()])
    except LeaseLostError:
        ended("lost").inc()
        return WAIT
    except DATABASE_AWAY:
        ended("database_away").inc()
        with suppress(SQLAlchemyError), context.sessions.begin() as session:
            publishing.leave(session, order)
        raise
    except Exception as error:  # noqa: BLE001  # whatever it is, the round is tried again
        ended("failed").inc()
        _log.exception("the round cannot be aggregated")
        with context.sessions.begin() as session:
            publishing.give_back(session, order, error)
        return WAIT
    ended("made").inc()
    return GO_ON


def _step(context: Context, session: Session, job_id: UUID) -> bool | publishing.Order:
    """One step under the job's lock."""
    job = lock_job(session, job_id)
    if job is None:
        return WAIT
    match job.state:
        case JobState.SUBMITTED:
            begin(session, job)
            return GO_ON
        case JobState.PLANNING | JobState.RUNNING | JobState.PERSONALIZING | JobState.EVALUATING:
            return _round_step(context, session, job)
        case JobState.CANCELLING:
            _finish_cancelling(session, job)
            return WAIT
        case JobState.PAUSED | JobState.SUCCEEDED | JobState.CANCELLED | JobState.FAILED:
            job.due_at = func.now() + LOOK_AGAIN
            return WAIT


def _round_step(context: Context, session: Session, job: Job) -> bool | publishing.Order:
    row = live_round(session, job.id)
    if row is None:
        raise RuntimeError(f"job {job.id} is {job.state} and has no live round")
    if row.state is RoundState.AGGREGATING:
        return _aggregating_step(context, session, job, row)
    spec = spec_of(job)
    budget = spec.rounds.failure_budget
    failed = [] if budget is None else failed_assignments(session, job.id)
    if over_budget(len(failed), spec):
        message = failed_too_often(failed, budget or 0)
        fail_job(session, job, "failure_budget", message)
        return WAIT
    now = database_now(session)
    match _judge(session, row, spec, now):
        case Verdict.WAIT:
            job.due_at = look_again(waits_until(row, spec), now)
            return WAIT
        case Verdict.EXTEND:
            extend_round(session, job, row, late=is_late(row, now))
            return GO_ON
        case Verdict.FAIL:
            code = "planning_failed" if row.phase is AssignmentKind.PLAN else "quorum_missed"
            fail_job(session, job, code, missing_quorum(session, row))
            return WAIT
        case Verdict.CLOSE:
            _close(session, job, row)
            return GO_ON


def _close(session: Session, job: Job, row: Round) -> None:
    """The round has what it needs; who is late is superseded."""
    end_assignments(session, job.id, AssignmentState.SUPERSEDED, "the round closed without it")
    transition(session, row, RoundState.AGGREGATING)
    if row.phase is not AssignmentKind.TRAIN:
        if row.phase is AssignmentKind.PLAN:
            publishing.publish_first(session, row)
        transition(session, row, RoundState.PUBLISHED)
        after(session, job, row)


def _judge(session: Session, row: Round, spec: JobSpec, now: datetime) -> Verdict:
    """What is to be done with the round now; notes when its quorum is there."""
    states = [a.state for a in assignments(session, row.id)]
    if reaches_quorum(row, states):
        row.quorum_at = now
        session.flush()
    return judge(row, states, spec, now)


def _aggregating_step(
    context: Context, session: Session, job: Job, row: Round
) -> bool | publishing.Order:
    now = database_now(session)
    match next_attempt(row, now, context.settings.aggregation_attempts):
        case Next.WAIT:
            job.due_at = look_again(row.lease_until, now)
            return WAIT
        case _ if context.store.read_only:  # another coordinator may, or this one started again
            job.due_at = func.now() + LOOK_AGAIN
            return WAIT
        case Next.GIVE_UP:
            fail_job(
                session,
                job,
                "aggregation_failed",
                f"Round {row.number} could not be aggregated in {row.attempt} attempts: look at "
                "the coordinator's log and at the artifacts' directory, and submit again.",
            )
            return WAIT
        case Next.TAKE if context.averaging.busy:
            job.due_at = func.now() + _BUSY
            return WAIT
        case Next.TAKE:
            return publishing.take(session, job, row, context.settings.aggregation_lease)


def _finish_cancelling(session: Session, job: Job) -> None:
    end_assignments(session, job.id, AssignmentState.CANCELLED, "the job is cancelled")
    row = live_round(session, job.id)
    if row is not None:
        transition(session, row, RoundState.FAILED, reason="the job is cancelled")
    transition(session, job, JobState.CANCELLED)
