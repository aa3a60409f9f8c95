"""The order of a job's phases, and what opens each: inside the caller's transaction."""

from sqlalchemy import func
from sqlalchemy.orm import Session

from server.jobs.lineage import inherit
from server.jobs.order import following
from server.lifecycle import transition
from server.rounds.repository import accepted, live_round
from server.rounds.sampling import sample
from server.rounds.service import end_assignments, open_planning, open_round
from server.specs import spec_of
from server.tables import Job, Round
from shared.job_spec import JobSpec
from shared.messages import AssignmentKind
from shared.states import AssignmentState, JobState, RoundState


def begin(session: Session, job: Job) -> None:
    """Submitted -> planning; a fork has what planning makes, and goes on at once."""
    transition(session, job, JobState.PLANNING)
    if job.forked_from is None:
        open_planning(session, job)
        job.due_at = func.now()
    else:
        after(session, job, inherit(session, job))


def after(session: Session, job: Job, row: Round) -> None:
    """What follows a round that was published: the next round, the next phase, or the end."""
    spec = spec_of(job)
    then = following(row.phase, row.number, spec)
    for state in then.states:
        transition(session, job, state)
    match then.phase:
        case AssignmentKind.TRAIN:
            _open_training(session, job, spec, then.number)
        case AssignmentKind.PERSONALIZE | AssignmentKind.EVALUATE:
            clients = _personalized(session, row) or spec.clients
            open_round(session, job, then.phase, clients, then.number)
        case _:
            pass
    job.due_at = func.now()


def _personalized(session: Session, row: Round) -> list[str]:
    """The clients that are done with stage two, if the round was that one."""
    if row.phase is not AssignmentKind.PERSONALIZE:
        return []
    return [a.client_id for a in accepted(session, row.id) if a.client_id]


def _open_training(session: Session, job: Job, spec: JobSpec, number: int) -> None:
    n = spec.asked_for(spec.clients_per_round)
    clients = sample(spec.seed, number, spec.clients, n)
    open_round(session, job, AssignmentKind.TRAIN, clients, number)
    job.round_number = number
    job.updated_at = func.now()


def fail_job(session: Session, job: Job, code: str, message: str) -> None:
    """End the job and whatever of it still lives."""
    end_assignments(session, job.id, AssignmentState.SUPERSEDED, "the round failed")
    row = live_round(session, job.id)
    if row is not None:
        transition(session, row, RoundState.FAILED, code=code, reason=message)
    transition(session, job, JobState.FAILED, code=code, reason=message)
    job.failure_code = code
    job.failure_message = message
