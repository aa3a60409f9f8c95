"""Finds the facts of jobs with one query for each table, whatever the number of jobs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, bindparam, select
from sqlalchemy.orm import Session

from server.context import Context
from server.rounds.repository import database_now
from server.rounds.standing import terms_of, waits_until
from server.specs import spec_of
from server.tables import Assignment, Attempt, Client, Event, Job, Round
from server.waiting.assignments import assignment_waiting
from server.waiting.decide import job_waiting, round_waiting
from server.waiting.facts import (
    AggregationFailure,
    AssignmentFacts,
    Busy,
    JobFacts,
    RoundFacts,
)
from shared.states import JOB_TERMINAL, ROUND_TERMINAL, AssignmentState, RoundState
from shared.waiting import Kind, Waiting, WaitingItem, WaitingList

_LIVE = set(RoundState) - ROUND_TERMINAL
# Made once: making a statement takes longer than Postgres takes to answer it.
_ROUNDS = select(Round).where(
    Round.job_id.in_(bindparam("jobs", expanding=True)), Round.state.in_(_LIVE)
)
_MEMBERS = (
    select(Assignment, Client.seen_at, Attempt.claimed_at)
    .outerjoin(Client, Client.id == Assignment.client_id)
    .outerjoin(
        Attempt,
        and_(Attempt.assignment_id == Assignment.id, Attempt.attempt == Assignment.attempt),
    )
    .where(Assignment.round_id.in_(bindparam("rounds", expanding=True)))
    .order_by(Assignment.client_id)
)
_BUSY = (
    select(Assignment.client_id, Job.name, Assignment.lease_until)
    .join(Job, Job.id == Assignment.job_id)
    .where(
        Assignment.client_id.in_(bindparam("clients", expanding=True)),
        Assignment.state == AssignmentState.LEASED,
    )
)
Waits = dict[UUID, WaitingItem]  # by the id of the job, round or assignment, in that order
Members = list[tuple[UUID, AssignmentFacts]]


@dataclass(frozen=True, slots=True)
class _Aggregation:
    """What the events say of a round that is to be aggregated."""

    since: datetime | None = None
    failure: AggregationFailure | None = None


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is known of some jobs, by the id of the job, and of this process."""

    context: Context
    rounds: dict[UUID, Round] = field(default_factory=dict)
    members: dict[UUID, Members] = field(default_factory=dict)
    aggregations: dict[UUID, _Aggregation] = field(default_factory=dict)


def waits(
    context: Context, session: Session, jobs: Iterable[Job], now: datetime | None = None
) -> Waits:
    """Why the jobs wait, with their live rounds and assignments; what has ended is absent.

    now: Postgres's clock when the jobs were read, by default what it is then.
    """
    alive = [job for job in jobs if job.state not in JOB_TERMINAL]
    if not alive:
        return {}
    now = now or database_now(session)
    facts = _facts(context, session, [job.id for job in alive])
    return {item.id: item for job in alive for item in _items(job, facts, now)}


def waiting_of(found: Waits, row: UUID) -> Waiting | None:
    """Why that job, round or assignment waits, if it does."""
    item = found.get(row)
    return item.waiting if item else None


def listed(context: Context, session: Session, job: Job) -> WaitingList:
    """All that waits in a job: itself, its round, its assignments in client order."""
    return WaitingList(items=tuple(waits(context, session, [job]).values()))


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


def _facts(context: Context, session: Session, jobs: Sequence[UUID]) -> _Facts:
    rounds = {row.job_id: row for row in session.scalars(_ROUNDS, {"jobs": jobs})}
    aggregations = {
        job: _aggregation(session, row)
        for job, row in rounds.items()
        if row.state is RoundState.AGGREGATING
    }
    return _Facts(context, rounds, _members(session, rounds), aggregations)


def _aggregation(session: Session, row: Round) -> _Aggregation:
    """When the round began to be aggregated, and why the last attempt ended."""
    began = _newest(session, row.job_id, Event.kind == f"round.{RoundState.AGGREGATING}")
    if began is None:
        return _Aggregation()
    ended = Event.kind.startswith("round.aggregation_") & (Event.id > began.id)
    failed = _newest(session, row.job_id, ended)
    if failed is None:
        return _Aggregation(began.at)
    pause = timedelta(seconds=failed.data.get("pause_s", 0))
    if row.lease_until > failed.at + pause:  # another has begun since
        return _Aggregation(began.at)
    reason = str(failed.data.get("reason", "unknown"))
    return _Aggregation(began.at, AggregationFailure(failed.at, reason))


def _newest(session: Session, job: UUID, which: ColumnElement[bool]) -> Event | None:
    query = select(Event).where(Event.job_id == job, which).order_by(Event.id.desc()).limit(1)
    return session.scalars(query).one_or_none()


def _members(session: Session, rounds: dict[UUID, Round]) -> dict[UUID, Members]:
    """The assignments of the live rounds, by job, in client order."""
    rows = session.execute(_MEMBERS, {"rounds": [row.id for row in rounds.values()]}).all()
    busy = _busy(session, {row.client_id for row, _, _ in rows if row.client_id})
    found: dict[UUID, Members] = {}
    for row, seen_at, claimed_at in rows:
        elsewhere = busy.get(row.client_id or "")
        facts = _assignment_facts(row, seen_at, claimed_at, elsewhere)
        found.setdefault(row.job_id, []).append((row.id, facts))
    return found


def _busy(session: Session, clients: set[str]) -> dict[str, Busy]:
    """The leases that these clients hold; a client holds one at most."""
    rows = session.execute(_BUSY, {"clients": list(clients)})
    return {client: Busy(name, lease_until) for client, name, lease_until in rows if client}


def _assignment_facts(
    row: Assignment, seen_at: datetime | None, claimed_at: datetime | None, busy: Busy | None
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
        busy=busy,
    )


def _round_facts(job: Job, row: Round, facts: _Facts, members: Members) -> RoundFacts:
    spec, context = spec_of(job), facts.context
    aggregation = facts.aggregations.get(row.job_id, _Aggregation())
    return RoundFacts(
        number=row.number,
        phase=row.phase,
        state=row.state,
        terms=terms_of(row, spec, len(members)),
        opened_at=row.opened_at,
        deadline_at=row.deadline_at,
        waits_until=waits_until(row, spec),
        attempt=row.attempt,
        most_attempts=context.settings.aggregation_attempts,
        lease_until=row.lease_until,
        aggregating_since=aggregation.since,
        failure=aggregation.failure,
        read_only=context.store.read_only,
        members=[member for _, member in members],
    )
