"""Opening and ending rounds, inside the caller's transaction."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server.aggregation import client_components
from server.assignments.decide import FIRST_HINT
from server.clients.adapting import lasting_offer, leave_out
from server.lifecycle import Scalar, created, record, transition
from server.outbox import wake
from server.rounds.repository import active_assignments, assignments, last_failure
from server.rounds.standing import needs, replacements
from server.specs import spec_of
from server.tables import Assignment, Job, JobClient, Round
from shared.job_spec import JobSpec
from shared.messages import AssignmentKind, ClientOffer
from shared.states import AssignmentState, RoundState

_MOST_NAMED = 5


def frozen_offers(session: Session, job_id: UUID) -> dict[str, ClientOffer]:
    """The offers of a job's clients as they were when it was submitted."""
    rows = session.scalars(select(JobClient).where(JobClient.job_id == job_id))
    return {row.client_id: ClientOffer.model_validate(row.offer) for row in rows}


def component_names(spec: JobSpec, offers: Sequence[ClientOffer]) -> list[str]:
    """The sorted names of the components that these clients use, all together."""
    return sorted({str(c) for offer in offers for c in client_components(spec, offer)})


def open_planning(session: Session, job: Job) -> Round:
    """The round in which the planner makes version 0."""
    spec = spec_of(job)
    names = component_names(spec, list(frozen_offers(session, job.id).values()))
    quorum, target = needs(AssignmentKind.PLAN, spec, 1)
    row = Round(
        phase=AssignmentKind.PLAN, number=0, state=RoundState.OPEN, quorum=quorum, target=target
    )
    _open(session, job, row)
    wake(session, _assign(session, row, None, names))
    return row


def open_round(
    session: Session, job: Job, phase: AssignmentKind, clients: Sequence[str], number: int
) -> Round:
    """A round in which `clients` work from the version that the last training round made."""
    spec = spec_of(job)
    offers = _lasting_offers(session, job, clients)
    quorum, target = needs(phase, spec, len(clients))
    row = Round(
        phase=phase,
        number=number,
        state=RoundState.OPEN,
        quorum=quorum,
        target=target,
        version=number - 1 if phase is AssignmentKind.TRAIN else number,
    )
    _open(session, job, row)
    for client in sorted(clients):
        _ask(session, job, row, client, component_names(spec, [offers[client]]))
    return row


def _lasting_offers(session: Session, job: Job, clients: Sequence[str]) -> dict[str, ClientOffer]:
    """What each of the clients still has of its frozen offer."""
    query = select(JobClient).where(JobClient.job_id == job.id, JobClient.client_id.in_(clients))
    return {row.client_id: lasting_offer(row) for row in session.scalars(query)}


def _ask(session: Session, job: Job, row: Round, client: str, components: list[str]) -> None:
    """Give a client its assignment, or say at once that it has nothing left to do."""
    assignment = _assign(session, row, client, components)
    if components:
        wake(session, assignment)
    else:
        leave_out(session, job, assignment)


def _open(session: Session, job: Job, row: Round) -> None:
    """Add the job's new round with its deadline."""
    deadline = spec_of(job).rounds.deadline
    row.job_id = job.id
    row.deadline_at = func.now() + deadline
    created(session, row, quorum=row.quorum, deadline_s=deadline.total_seconds())
    session.refresh(row)


def extend_round(session: Session, job: Job, row: Round, *, late: bool) -> None:
    """Another deadline, and the next clients of the draw in place of those who are missing."""
    spec = spec_of(job)
    members = assignments(session, row.id)
    states = [a.state for a in members]
    others = replacements(row, spec, [a.client_id for a in members], states, late=late)
    row.extensions += 1
    row.deadline_at = func.now() + spec.rounds.deadline
    data: dict[str, Scalar] = {
        "phase": row.phase,
        "round": row.number,
        "extension": row.extensions,
        "reason": "the deadline passed" if late else "too many clients failed",
        "asked": ", ".join(others) or None,
        "deadline_s": spec.rounds.deadline.total_seconds(),
    }
    record(session, "round.extended", job.id, data)
    offers = _lasting_offers(session, job, others)
    for client in others:
        _ask(session, job, row, client, component_names(spec, [offers[client]]))
    session.flush()


def _assign(session: Session, row: Round, client: str | None, components: list[str]) -> Assignment:
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
    return assignment


def end_assignments(session: Session, job_id: UUID, target: AssignmentState, why: str) -> None:
    """Move all assignments of the job that have not ended to `target`."""
    for assignment in active_assignments(session, job_id):
        transition(session, assignment, target, reason=why)


def failed_too_often(failed: Sequence[Assignment], budget: int) -> str:
    """The sentence that says which of the job's assignments failed, newest first."""
    named = "; ".join(
        f"{a.client_id}: {a.failure_code} ({a.failure_message})" for a in failed[:_MOST_NAMED]
    )
    return (
        f"{len(failed)} assignments failed and rounds.failure_budget is {budget}; the newest are "
        f"{named}: see to these workers, or raise rounds.failure_budget, and submit again."
    )


def missing_quorum(session: Session, row: Round) -> str:
    """The sentence that says who was missing."""
    members = assignments(session, row.id)
    here = sum(a.state == AssignmentState.ACCEPTED for a in members)
    absent = "; ".join(
        f"{a.client_id or 'the planner'}: {_lacking(session, a)}"
        for a in members
        if a.state != AssignmentState.ACCEPTED
    )
    waited = f" after {row.extensions} extensions" if row.extensions else ""
    return (
        f"Round {row.number} ({row.phase}) got {here} of {len(members)} results{waited} and needs "
        f"{row.quorum}; missing are {absent}: see to these workers, or lower rounds.quorum or "
        "raise rounds.deadline, and submit again."
    )


def _lacking(session: Session, row: Assignment) -> str:
    """Why there is no result; of one that is tried again, also how it went before."""
    if row.failure_code:
        return f"{row.failure_code} ({row.failure_message})"
    before = last_failure(session, row)
    return f"still {row.state}" + (f" ({before})" if before else "")
