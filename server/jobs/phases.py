"""The order of a job's phases, and what opens each: inside the caller's transaction."""

from sqlalchemy import func
from sqlalchemy.orm import Session

from server.jobs.lineage import inherit
from server.lifecycle import transition
from server.rounds.repository import accepted, live_round
from server.rounds.sampling import sample
from server.rounds.service import end_assignments, open_planning, open_round
from server.tables import Job, Round
from shared.job_spec import FedAvgAlgorithm, JobSpec
from shared.messages import AssignmentKind
from shared.states import AssignmentState, JobState, RoundState


def personalizes(spec: JobSpec) -> bool:
    """Whether the job has a stage two."""
    return not isinstance(spec.algorithm, FedAvgAlgorithm) or spec.algorithm.post_training


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
    spec = JobSpec.model_validate(job.spec)
    match row.phase:
        case AssignmentKind.PLAN:
            transition(session, job, JobState.RUNNING)
            _behind_version(session, job, spec, row.number)
        case AssignmentKind.TRAIN:
            _behind_version(session, job, spec, row.number)
        case AssignmentKind.PERSONALIZE:
            transition(session, job, JobState.EVALUATING)
            clients = [a.client_id for a in accepted(session, row.id) if a.client_id]
            open_round(session, job, AssignmentKind.EVALUATE, clients, row.number)
        case AssignmentKind.EVALUATE:
            transition(session, job, JobState.SUCCEEDED)
    job.due_at = func.now()


def _behind_version(session: Session, job: Job, spec: JobSpec, number: int) -> None:
    """What follows version `number`: the next round, or stage two, or evaluation."""
    if number < spec.rounds.count:
        _open_training(session, job, spec, number + 1)
    elif personalizes(spec):
        transition(session, job, JobState.PERSONALIZING)
        open_round(session, job, AssignmentKind.PERSONALIZE, spec.clients, number)
    else:
        transition(session, job, JobState.EVALUATING)
        open_round(session, job, AssignmentKind.EVALUATE, spec.clients, number)


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
