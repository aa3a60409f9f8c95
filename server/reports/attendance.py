"""Who came to each round, who was missing and why, and which components did not come."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session, defer

from server.columns import among
from server.paging import Behind, Column, Order, moments, number
from server.rounds.repository import that_asked
from server.specs import spec_of
from server.tables import Assignment, Contribution, Job, Round
from shared.algorithms import AlgorithmSpec
from shared.attendance import AbsenceRow, AttendanceRow
from shared.messages import AssignmentKind
from shared.states import ASSIGNMENT_TERMINAL, ROUND_TERMINAL, AssignmentState, RoundState
from shared.views import RoundOrder

Delivered = dict[str, list[str]]  # component -> clients, both in order


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rounds: of any number and any clients without one."""

    after: int | None = None  # only those of greater numbers
    client: str | None = None  # only those that asked it


def sorted_by(sort: RoundOrder) -> Order[Round]:
    """How a list of attendance goes: as the rounds were opened, whatever their phase."""
    return Order(
        "attendance",
        sort,
        moments(Round.opened_at, lambda row: row.opened_at),
        Column(Round.number, lambda row: row.number, number),
        Column(Round.id, lambda row: str(row.id), UUID),
    )


_OLDEST_FIRST, _ANY = sorted_by("round").behind(), Wanted()


def client_rounds(
    session: Session,
    job_id: UUID,
    wanted: Wanted = _ANY,
    behind: Behind = _OLDEST_FIRST,
    limit: int | None = None,
) -> list[Round]:
    """The rounds in which the job asked clients, in an order from some place on."""
    query = select(Round).where(Round.job_id == job_id, Round.phase != AssignmentKind.PLAN)
    if wanted.after is not None:
        query = query.where(Round.number > wanted.after)
    if wanted.client is not None:
        query = query.where(that_asked(wanted.client))
    return list(session.scalars(behind(query).limit(limit)))


def attendance(session: Session, job: Job, rounds: Sequence[Round]) -> tuple[AttendanceRow, ...]:
    """One row for each of these rounds of the job, closed or not."""
    ids = [row.id for row in rounds]
    asked, delivered = _asked(session, ids), _delivered(session, ids)
    algorithm = spec_of(job).algorithm
    return tuple(_row(row, asked[row.id], delivered[row.id], algorithm) for row in rounds)


def _asked(session: Session, rounds: Sequence[UUID]) -> defaultdict[UUID, list[Assignment]]:
    """The rounds' assignments in client order, without what they came to."""
    query = (
        select(Assignment)
        .options(defer(Assignment.result))
        .where(among(Assignment.round_id, rounds))
        .order_by(Assignment.client_id)
    )
    found: defaultdict[UUID, list[Assignment]] = defaultdict(list)
    for assignment in session.scalars(query):
        found[assignment.round_id].append(assignment)
    return found


def _row(
    row: Round, asked: Sequence[Assignment], delivered: Delivered, algorithm: AlgorithmSpec
) -> AttendanceRow:
    wanted = _wanted(row, asked, algorithm)
    closed = row.state in ROUND_TERMINAL
    return AttendanceRow(
        round=row.number,
        phase=row.phase,
        state=row.state,
        asked=tuple(a.client_id or "" for a in asked),
        accepted=tuple(a.client_id or "" for a in asked if _accepted(a)),
        missing=tuple(_absence(row, a) for a in asked if not _accepted(a)),
        contributors={name: tuple(clients) for name, clients in delivered.items()},
        not_delivered={
            name: tuple(client for client in clients if client not in delivered.get(name, ()))
            for name, clients in wanted.items()
        },
        carried_over=tuple(name for name in wanted if closed and name not in delivered),
    )


def _wanted(row: Round, asked: Sequence[Assignment], algorithm: AlgorithmSpec) -> Delivered:
    """Who was asked for each component that is shared; other phases than training deliver none."""
    wanted: defaultdict[str, list[str]] = defaultdict(list)
    for assignment in asked if row.phase is AssignmentKind.TRAIN else ():
        for component in filter(algorithm.shares, assignment.components):
            wanted[component].append(assignment.client_id or "")
    return dict(sorted(wanted.items()))


def _absence(row: Round, assignment: Assignment) -> AbsenceRow:
    training = row.phase is AssignmentKind.TRAIN
    return AbsenceRow(
        client=assignment.client_id or "",
        state=assignment.state,
        reason=_reason(row, assignment),
        components=tuple(sorted(assignment.components)) if training else (),
    )


def _reason(row: Round, assignment: Assignment) -> str:
    if assignment.failure_code:
        return f"{assignment.failure_code}: {assignment.failure_message}"
    if assignment.state not in ASSIGNMENT_TERMINAL:
        return "it has not delivered yet"
    if assignment.state is AssignmentState.CANCELLED:
        return "the job was cancelled"
    if row.state is RoundState.FAILED:
        return "the round failed"
    return "the round closed without it"


def _delivered(session: Session, rounds: Sequence[UUID]) -> defaultdict[UUID, Delivered]:
    its = Contribution
    clients = func.array_agg(aggregate_order_by(its.client_id, its.client_id))
    query = (
        select(its.round_id, its.component, clients)
        .where(among(its.round_id, rounds))
        .group_by(its.round_id, its.component)
        .order_by(its.component)
    )
    found: defaultdict[UUID, Delivered] = defaultdict(dict)
    for round_id, component, names in session.execute(query):
        found[round_id][component] = list(names)
    return found


def _accepted(assignment: Assignment) -> bool:
    return assignment.state is AssignmentState.ACCEPTED
