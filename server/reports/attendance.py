"""Who came to each training round, who was missing and why, and what nobody delivered."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.tables import Assignment, Contribution, Round
from shared.states import AssignmentState, RoundState
from shared.views import AbsenceRow, AttendanceRow

Delivered = dict[str, list[str]]  # component -> clients, in order


def attendance(
    session: Session, rounds: Sequence[Round], members: Sequence[Assignment]
) -> tuple[AttendanceRow, ...]:
    """One row for each of the training rounds; `members` are the job's assignments."""
    asked: defaultdict[UUID, list[Assignment]] = defaultdict(list)
    for assignment in members:
        asked[assignment.round_id].append(assignment)
    delivered = _delivered(session, [row.id for row in rounds])
    return tuple(_row(row, asked[row.id], delivered[row.id]) for row in rounds)


def _row(row: Round, asked: Sequence[Assignment], delivered: Delivered) -> AttendanceRow:
    wanted = {component for assignment in asked for component in assignment.components}
    return AttendanceRow(
        round=row.number,
        state=row.state,
        asked=tuple(a.client_id or "" for a in asked),
        accepted=tuple(a.client_id or "" for a in asked if _accepted(a)),
        missing=tuple(_absence(row, a) for a in asked if not _accepted(a)),
        contributors={name: tuple(clients) for name, clients in delivered.items()},
        carried_over=tuple(sorted(wanted - set(delivered))),
    )


def _absence(row: Round, assignment: Assignment) -> AbsenceRow:
    return AbsenceRow(
        client=assignment.client_id or "", state=assignment.state, reason=_reason(row, assignment)
    )


def _reason(row: Round, assignment: Assignment) -> str:
    if assignment.failure_code:
        return f"{assignment.failure_code}: {assignment.failure_message}"
    if assignment.state is AssignmentState.CANCELLED:
        return "the job was cancelled"
    if row.state is RoundState.FAILED:
        return "the round failed"
    return "the round closed without it"


def _delivered(session: Session, rounds: Sequence[UUID]) -> defaultdict[UUID, Delivered]:
    query = select(Contribution).where(Contribution.round_id.in_(rounds))
    found: defaultdict[UUID, Delivered] = defaultdict(dict)
    for c in session.scalars(query.order_by(Contribution.component, Contribution.client_id)):
        found[c.round_id].setdefault(c.component, []).append(c.client_id)
    return found


def _accepted(assignment: Assignment) -> bool:
    return assignment.state is AssignmentState.ACCEPTED
