"""A client that offers less in the middle of a job, or has it again: its part in the job follows.

From the next assignment on; one that has not ended is given anew, so that no result is of both.
"""

from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server.aggregation import client_components, offered_tasks
from server.clients.lasting import differences, lasting, noted
from server.jobs.order import following
from server.lifecycle import record, transition
from server.outbox import ask_advance, wake
from server.rounds.repository import live_round
from server.specs import spec_of
from server.tables import Assignment, Job, JobClient
from shared.attendance import OfferChange
from shared.components import Modality
from shared.job_spec import JobSpec
from shared.messages import AssignmentKind, ClientOffer
from shared.states import ASSIGNMENT_ACTIVE, JOB_ACTIVE, AssignmentState, JobState

WITHOUT_TASK = "client_without_task"


def changes_of(row: JobClient) -> list[OfferChange]:
    """What of the client's offer has changed since it was frozen, oldest first."""
    return [OfferChange.model_validate(each) for each in row.changes]


def lasting_offer(row: JobClient) -> ClientOffer:
    """What the client still has of what it offered for the job."""
    return lasting(ClientOffer.model_validate(row.offer), changes_of(row))


def read_by(spec: JobSpec, row: JobClient) -> dict[str, tuple[Modality, ...]]:
    """The tasks that the client can still do, and what it reads for each."""
    offer = lasting_offer(row)
    return {task: offer.tasks[task].modalities for task in offered_tasks(spec, offer)}


def jobs_of(session: Session, client: str) -> list[UUID]:
    """The jobs of a client that go on, always in the same order: each of them is to be locked."""
    query = (
        select(Job.id)
        .join(JobClient, JobClient.job_id == Job.id)
        .where(JobClient.client_id == client, Job.state.in_(JOB_ACTIVE - {JobState.CANCELLING}))
        .order_by(Job.id)
    )
    return list(session.scalars(query))


def adapt(session: Session, job: Job, client: str, now: ClientOffer) -> None:
    """Note what the client lost, or has again, and give its open assignment anew; job locked."""
    spec = spec_of(job)
    row = session.get_one(JobClient, (job.id, client))
    before = read_by(spec, row)
    found = differences(spec, ClientOffer.model_validate(row.offer), before, now)
    if not found:
        return
    open_ones = _open_assignments(session, job, client)
    changes = noted(found, *_first(session, job, spec, asked=bool(open_ones)))
    row.changes = [*row.changes, *(change.model_dump(mode="json") for change in changes)]
    for change in changes:
        kind = "client.lost" if change.lost else "client.regained"
        data = change.model_dump(mode="json", exclude={"lost"})
        record(session, kind, job.id, {"client": client, **data})
    for assignment in open_ones:
        _give_anew(
            session, job, assignment, sorted(map(str, client_components(spec, lasting_offer(row))))
        )
    session.flush()


def _open_assignments(session: Session, job: Job, client: str) -> list[Assignment]:
    query = select(Assignment).where(
        Assignment.job_id == job.id,
        Assignment.client_id == client,
        Assignment.state.in_(ASSIGNMENT_ACTIVE),
    )
    return list(session.scalars(query.with_for_update(key_share=True)))


def _first(session: Session, job: Job, spec: JobSpec, *, asked: bool) -> tuple[int, AssignmentKind]:
    """The first round that goes by a change: the live one if the client is still awaited there."""
    row = live_round(session, job.id)
    if row is None:
        return job.round_number + 1, AssignmentKind.TRAIN
    then = following(row.phase, row.number, spec)
    if asked or then.phase is None:
        return row.number, row.phase
    return then.number, then.phase


def _give_anew(session: Session, job: Job, row: Assignment, components: list[str]) -> None:
    """Ask for what the client can still do; what it did meanwhile was for something else."""
    if not components:
        leave_out(session, job, row)
        return
    if row.state is not AssignmentState.QUEUED:
        transition(session, row, AssignmentState.QUEUED, released=True)
        row.released += 1
        row.lease_id = uuid4()
        row.progress = 0.0
        row.not_before = row.hint_at = func.now()
        row.hints = 0
        wake(session, row)
    row.components = components


def leave_out(session: Session, job: Job, row: Assignment) -> None:
    """End the assignment of a client that has no task of the job left."""
    why = (
        f"{row.client_id} offers none of the job's tasks any more: have it offer one again, or "
        "fork the job without it"
    )
    transition(session, row, AssignmentState.FAILED, code=WITHOUT_TASK, reason=why)
    row.failure_code = WITHOUT_TASK
    row.failure_message = why
    ask_advance(session, job)
