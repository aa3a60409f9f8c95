"""Pausing a job, and letting it go on from where it stood."""

from uuid import UUID

from sqlalchemy import func
from sqlalchemy.orm import Session

from server.assignments.decide import FIRST_HINT
from server.database import lock_job
from server.errors import ProblemError, not_found
from server.lifecycle import transition
from server.outbox import ask_advance, wake
from server.rounds.repository import active_assignments, database_now, live_round
from server.rounds.standing import move_on
from server.tables import Job
from shared.problem_codes import Code
from shared.states import ASSIGNMENT_CLAIMABLE, JOB_TERMINAL, JobState, RoundState

_ENDING = JOB_TERMINAL | {JobState.CANCELLING}


def pause(session: Session, job_id: UUID) -> Job:
    """Have nothing new begin; again is no error. Raises ProblemError (404, 409)."""
    job = _going(session, job_id, "pause")
    if job.state is not JobState.PAUSED:
        before = job.state
        transition(session, job, JobState.PAUSED, paused_from=before)
        job.paused_from = before
        job.paused_at = func.now()
    return job


def resume(session: Session, job_id: UUID) -> Job:
    """Have a paused job go on; again is no error. Raises ProblemError (404, 409)."""
    job = _going(session, job_id, "resume")
    if job.state is JobState.PAUSED and job.paused_from and job.paused_at:
        _restore_times(session, job)
        transition(session, job, JobState(job.paused_from))
        job.paused_from = job.paused_at = None
        _wake_all(session, job)
        ask_advance(session, job)
    return job


def _going(session: Session, job_id: UUID, what: str) -> Job:
    """The job, locked, if it is not at its end. Raises ProblemError (404, 409)."""
    job = lock_job(session, job_id)
    if job is None:
        raise not_found("job")
    if job.state in _ENDING:
        raise ProblemError(
            409,
            Code.JOB_ENDED,
            f"The job is {job.state}: there is nothing to {what}; launch it anew or fork it.",
        )
    return job


def _restore_times(session: Session, job: Job) -> None:
    """Move the live round's times on by the pause: the job's clients lose no time by it."""
    row = live_round(session, job.id)
    if row is None or job.paused_at is None:
        return
    now = database_now(session)
    move_on(row, now - job.paused_at)
    if row.state is RoundState.AGGREGATING:
        row.lease_until = max(row.lease_until, now)  # nobody has left it: it was paused
    session.flush()


def _wake_all(session: Session, job: Job) -> None:
    """Wake the workers of what can be claimed, and have them hinted as if it were new."""
    for assignment in active_assignments(session, job.id):
        if assignment.state in ASSIGNMENT_CLAIMABLE:
            assignment.hint_at = func.now() + FIRST_HINT
            assignment.hints = 0
            wake(session, assignment)
