"""What a fork has from its parent: a version to begin with, and its clients' personal states."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Select, func, insert, literal, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from server.lifecycle import created, transition
from server.tables import Assignment, Job, JobClient, Round, Version, VersionComponent
from shared.messages import AssignmentKind
from shared.states import AssignmentState, RoundState


def inherit(session: Session, job: Job) -> Round:
    """Make the parent's version the fork's first one; returns the closed round that stands for it.

    Only rows are written: the artifacts are the same, and so is the version that made each.
    """
    row = Round(
        job_id=job.id,
        phase=AssignmentKind.PLAN,
        number=job.forked_round,
        state=RoundState.OPEN,
        quorum=0,
        target=0,
        deadline_at=func.now(),
    )
    created(session, row, forked_from=str(job.forked_from))
    transition(session, row, RoundState.AGGREGATING)
    session.add(Version(job_id=job.id, number=row.number, round_id=row.id))
    session.flush()
    _copy_manifest(session, job)
    transition(session, row, RoundState.PUBLISHED, version=row.number)
    return row


def _copy_manifest(session: Session, job: Job) -> None:
    its = VersionComponent
    columns = (its.version, its.component, its.sha256, its.made_in, its.relative_error)
    manifest = select(literal(job.id), *columns).where(
        its.job_id == job.forked_from, its.version == job.forked_round
    )
    session.execute(insert(its).from_select([its.job_id, *columns], manifest))


def hand_down_personal_states(session: Session, job: Job) -> None:
    """Let each client of the fork go on with the personal state that it had in the parent then."""
    other = job.forked_personal_round
    parent, number = job.forked_from, job.forked_round if other is None else other
    if parent is None or number is None:
        return
    states = states_after(session, parent, number)
    for client in session.scalars(select(JobClient).where(JobClient.job_id == job.id)):
        client.parent_state_digest = client.state_digest = states.get(client.client_id)
    session.flush()


def states_after(session: Session, job_id: UUID, number: int) -> dict[str, str]:
    """The personal state that each client of the job had after round `number`."""
    return {**inherited_states(session, job_id), **_accepted_states(session, job_id, number)}


def first_states(session: Session, job: Job, clients: Collection[str]) -> int | None:
    """The first round after which one of the clients had a personal state; None if none ever."""
    if inherited_states(session, job.id).keys() & clients:
        return job.forked_round
    query = _accepted(job.id).with_only_columns(func.min(Round.number))
    return session.scalar(query.where(Assignment.client_id.in_(clients)))


def inherited_states(session: Session, job_id: UUID) -> dict[str, str]:
    """What the clients of a fork had before its own rounds: from the parent."""
    query = select(JobClient.client_id, JobClient.parent_state_digest).where(
        JobClient.job_id == job_id, JobClient.parent_state_digest.is_not(None)
    )
    return {client: state for client, state in session.execute(query) if state}


def _accepted_states(session: Session, job_id: UUID, number: int) -> dict[str, str]:
    """The state that each client reported last, in published rounds up to `number`."""
    query = (
        _accepted(job_id)
        .where(Round.number <= number)
        .ext(distinct_on(Assignment.client_id))
        .order_by(Assignment.client_id, Round.number.desc())
    )
    return {client: found for client, found in session.execute(query) if client}


def _accepted(job_id: UUID) -> Select[str | None, str]:
    """The clients, and the personal states that they reported in published rounds."""
    state = Assignment.result["state_digest"].as_string()
    return (
        select(Assignment.client_id, state)
        .join(Round, Round.id == Assignment.round_id)
        .where(
            Assignment.job_id == job_id,
            Assignment.kind == AssignmentKind.TRAIN,
            Assignment.state == AssignmentState.ACCEPTED,
            Round.state == RoundState.PUBLISHED,
            state.is_not(None),
        )
    )
