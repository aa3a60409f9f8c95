"""Opening and ending rounds, inside the caller's transaction."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server.aggregation import client_components
from server.lifecycle import created, transition
from server.outbox import wake
from server.rounds.repository import active_assignments, assignments
from server.tables import Assignment, Job, JobClient, Round
from shared.job_spec import JobSpec
from shared.messages import AssignmentKind, ClientOffer
from shared.states import AssignmentState, RoundState

FIRST_HINT = timedelta(seconds=5)  # a wake-up goes out at once; the timer repeats it


def frozen_offers(session: Session, job_id: UUID) -> dict[str, ClientOffer]:
    """The offers of a job's clients as they were when it was submitted."""
    rows = session.scalars(select(JobClient).where(JobClient.job_id == job_id))
    return {row.client_id: ClientOffer.model_validate(row.offer) for row in rows}


def component_names(spec: JobSpec, offers: Sequence[ClientOffer]) -> list[str]:
    """The sorted names of the components that these clients use, all together."""
    return sorted({str(c) for offer in offers for c in client_components(spec, offer)})


def open_planning(session: Session, job: Job) -> Round:
    """The round in which the planner makes version 0."""
    spec = JobSpec.model_validate(job.spec)
    names = component_names(spec, list(frozen_offers(session, job.id).values()))
    row = _open(session, job, AssignmentKind.PLAN, 0, None)
    _assign(session, row, None, names)
    return row


def open_round(
    session: Session, job: Job, phase: AssignmentKind, clients: Sequence[str], number: int
) -> Round:
    """A round in which `clients` work from the version that the last training round made."""
    spec = JobSpec.model_validate(job.spec)
    offers = frozen_offers(session, job.id)
    version = number - 1 if phase is AssignmentKind.TRAIN else number
    row = _open(session, job, phase, number, version)
    for client in sorted(clients):
        _assign(session, row, client, component_names(spec, [offers[client]]))
    return row


def _open(
    session: Session, job: Job, phase: AssignmentKind, number: int, version: int | None
) -> Round:
    spec = JobSpec.model_validate(job.spec)
    row = Round(
        job_id=job.id,
        phase=phase,
        number=number,
        state=RoundState.OPEN,
        quorum=spec.quorum if phase is AssignmentKind.TRAIN else 1,
        version=version,
        deadline_at=func.now() + spec.rounds.deadline,
    )
    created(session, row, quorum=row.quorum, deadline_s=spec.rounds.deadline.total_seconds())
    session.refresh(row)
    return row


def _assign(session: Session, row: Round, client: str | None, components: list[str]) -> None:
    assignment = Assignment(
        job_id=row.job_id,
        round_id=row.id,
        client_id=client,
        kind=row.phase,
        state=AssignmentState.QUEUED,
        components=components,
        version=row.version,
        hint_at=func.now() + FIRST_HINT,
    )
    created(session, assignment, kind=assignment.kind, round=row.number)
    wake(session, assignment)


def end_assignments(session: Session, job_id: UUID, target: AssignmentState, why: str) -> None:
    """Move all assignments of the job that have not ended to `target`."""
    for assignment in active_assignments(session, job_id):
        transition(session, assignment, target, reason=why)


def missing_quorum(session: Session, row: Round) -> str:
    """The sentence that says who was missing."""
    members = assignments(session, row.id)
    here = sum(a.state == AssignmentState.ACCEPTED for a in members)
    absent = "; ".join(
        f"{a.client_id or 'the planner'}: {a.failure_code or f'still {a.state}'}"
        f"{f' ({a.failure_message})' if a.failure_message else ''}"
        for a in members
        if a.state != AssignmentState.ACCEPTED
    )
    return (
        f"Round {row.number} ({row.phase}) got {here} of {len(members)} results and needs "
        f"{row.quorum}; missing are {absent}: see to these workers, or lower rounds.quorum or "
        "raise rounds.deadline, and submit again."
    )
