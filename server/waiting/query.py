"""Finds the facts of jobs with one query for each table, whatever the number of jobs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from server.rounds.repository import database_now
from server.rounds.standing import terms_of, waits_until
from server.tables import Assignment, Attempt, Client, Event, Job, Round
from server.waiting.assignments import assignment_waiting
from server.waiting.decide import job_waiting, round_waiting
from server.waiting.facts import AssignmentFacts, JobFacts, RoundFacts
from shared.job_spec import JobSpec
from shared.states import JOB_TERMINAL, ROUND_TERMINAL, AssignmentState, RoundState
from shared.waiting import Kind, Waiting, WaitingItem, WaitingList

_LIVE = set(RoundState) - ROUND_TERMINAL
Waits = dict[UUID, WaitingItem]  # by the id of the job, round or assignment, in that order
Members = list[tuple[UUID, AssignmentFacts]]


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is known of some jobs, by the id of the job."""

    rounds: dict[UUID, Round] = field(default_factory=dict)
    members: dict[UUID, Members] = field(default_factory=dict)
    aggregating_since: dict[UUID, datetime] = field(default_factory=dict)


def waits(session: Session, jobs: Iterable[Job]) -> Waits:
    """Why the jobs wait, with their live rounds and assignments; what has ended is absent."""
    alive = [job for job in jobs if job.state not in JOB_TERMINAL]
    if not alive:
        return {}
    now, facts = database_now(session), _facts(session, [job.id for job in alive])
    return {item.id: item for job in alive for item in _items(job, facts, now)}


def waiting_of(found: Waits, row: UUID) -> Waiting | None:
    """Why that job, round or assignment waits, if it does."""
    item = found.get(row)
    return item.waiting if item else None


def listed(session: Session, job: Job) -> WaitingList:
    """All that waits in a job: itself, its round, its assignments in client order."""
    return WaitingList(items=tuple(waits(session, [job]).values()))


def _items(job: Job, facts: _Facts, now: datetime) -> Iterable[WaitingItem]:
    about = JobFacts(job.state, job.created_at, job.updated_at, job.due_at)
    row, members = facts.rounds.get(job.id), facts.members.get(job.id, [])
    live = _round_facts(job, row, facts, members) if row else None
    waiting = job_waiting(about, live, now)
    if waiting is not None:
        yield WaitingItem(kind=Kind.JOB, id=job.id, name=job.name, waiting=waiting)
    if row is None or live is None:
        return
    waiting = round_waiting(about, live, now)
    yield WaitingItem(kind=Kind.ROUND, id=row.id, name=live.name, waiting=waiting)
    for each, member in members:
        waiting = assignment_waiting(member, live, about, now)
        if waiting is not None:
            yield WaitingItem(kind=Kind.ASSIGNMENT, id=each, name=member.owner, waiting=waiting)


def _facts(session: Session, jobs: Sequence[UUID]) -> _Facts:
    query = select(Round).where(Round.job_id.in_(jobs), Round.state.in_(_LIVE))
    rounds = {row.job_id: row for row in session.scalars(query)}
    aggregating = [job for job, row in rounds.items() if row.state is RoundState.AGGREGATING]
    since = {job: _aggregating_since(session, job) for job in aggregating}
    return _Facts(rounds, _members(session, rounds), {j: at for j, at in since.items() if at})


def _aggregating_since(session: Session, job: UUID) -> datetime | None:
    query = (
        select(Event.at)
        .where(Event.job_id == job, Event.kind == f"round.{RoundState.AGGREGATING}")
        .order_by(Event.id.desc())
        .limit(1)
    )
    return session.scalar(query)


def _members(session: Session, rounds: dict[UUID, Round]) -> dict[UUID, Members]:
    """The assignments of the live rounds, by job, in client order."""
    claimed = and_(Attempt.assignment_id == Assignment.id, Attempt.attempt == Assignment.attempt)
    query = (
        select(Assignment, Client.seen_at, Attempt.claimed_at)
        .outerjoin(Client, Client.id == Assignment.client_id)
        .outerjoin(Attempt, claimed)
        .where(Assignment.round_id.in_([row.id for row in rounds.values()]))
        .order_by(Assignment.client_id)
    )
    rows = session.execute(query).all()
    busy = _busy(session, {row.client_id for row, _, _ in rows if row.client_id})
    found: dict[UUID, Members] = {}
    for row, seen_at, claimed_at in rows:
        elsewhere = busy.get(row.client_id or "")
        facts = _assignment_facts(row, seen_at, claimed_at, elsewhere)
        found.setdefault(row.job_id, []).append((row.id, facts))
    return found


def _busy(session: Session, clients: set[str]) -> dict[str, str]:
    """The names of the jobs that these clients hold leases of; a client holds one at most."""
    query = (
        select(Assignment.client_id, Job.name)
        .join(Job, Job.id == Assignment.job_id)
        .where(Assignment.client_id.in_(clients), Assignment.state == AssignmentState.LEASED)
    )
    return {client: name for client, name in session.execute(query) if client}


def _assignment_facts(
    row: Assignment, seen_at: datetime | None, claimed_at: datetime | None, busy: str | None
) -> AssignmentFacts:
    return AssignmentFacts(
        client=row.client_id,
        kind=row.kind,
        state=row.state,
        attempt=row.attempt,
        progress=row.progress,
        not_before=row.not_before,
        hints=row.hints,
        hint_at=row.hint_at,
        lease_until=row.lease_until,
        claimed_at=claimed_at,
        seen_at=seen_at,
        failure=row.failure_code,
        busy_with=busy,
    )


def _round_facts(job: Job, row: Round, facts: _Facts, members: Members) -> RoundFacts:
    spec = JobSpec.model_validate(job.spec)
    return RoundFacts(
        number=row.number,
        phase=row.phase,
        state=row.state,
        terms=terms_of(row, spec, len(members)),
        opened_at=row.opened_at,
        deadline_at=row.deadline_at,
        waits_until=waits_until(row, spec),
        attempt=row.attempt,
        lease_until=row.lease_until,
        aggregating_since=facts.aggregating_since.get(row.job_id),
        members=[member for _, member in members],
    )
