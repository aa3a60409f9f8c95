"""What happens now in a job: its newest round, of whatever phase, with who works in it."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.context import Context
from server.rounds.views import round_view
from server.tables import Job, Round
from server.waiting.query import waits
from shared.messages import AssignmentKind
from shared.views import RoundView


def newest_round(
    context: Context, session: Session, job: Job
) -> tuple[AssignmentKind, RoundView] | None:
    """The round that was opened last, with its phase; None before the first."""
    # A fork's round of planning, which it inherits, is as old as the round that follows.
    newest = (Round.opened_at.desc(), Round.phase == AssignmentKind.PLAN, Round.number.desc())
    query = select(Round).where(Round.job_id == job.id).order_by(*newest).limit(1)
    row = session.scalars(query).one_or_none()
    if row is None:
        return None
    why = waits(context, session, [job])
    return row.phase, round_view(session, job, row, why)
