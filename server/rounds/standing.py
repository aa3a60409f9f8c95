"""How an open round stands: what it has, and until when it waits."""

from datetime import datetime

from sqlalchemy import func
from sqlalchemy.orm import Session

from server.rounds.collecting import Terms, Verdict, decide
from server.rounds.repository import assignments, database_now
from server.tables import Round
from shared.job_spec import JobSpec
from shared.messages import AssignmentKind
from shared.states import AssignmentState


def judge(session: Session, row: Round, spec: JobSpec) -> Verdict:
    """What is to be done with the round now; notes when its quorum is there."""
    states = [a.state for a in assignments(session, row.id)]
    if row.quorum_at is None and states.count(AssignmentState.ACCEPTED) >= row.quorum:
        row.quorum_at = func.now()
        session.flush()
    now = database_now(session)
    return decide(
        states,
        terms_of(row, spec, len(states)),
        late=row.deadline_at <= now,
        grace_over=waits_until(row, spec) <= now,
    )


def terms_of(row: Round, spec: JobSpec, asked: int) -> Terms:
    """The round's terms once `asked` clients have been asked; only training asks others."""
    training = row.phase is AssignmentKind.TRAIN
    return Terms(
        quorum=row.quorum,
        target=row.target,
        spare=len(spec.clients) - asked if training else 0,
        extensions_left=spec.rounds.extensions - row.extensions,
    )


def is_late(session: Session, row: Round) -> bool:
    """Whether the round's deadline has passed."""
    return row.deadline_at <= database_now(session)


def waits_until(row: Round, spec: JobSpec) -> datetime:
    """The deadline, or the end of the grace once a training round has its quorum."""
    grace = spec.rounds.grace
    if row.phase is not AssignmentKind.TRAIN or grace is None or row.quorum_at is None:
        return row.deadline_at
    return min(row.deadline_at, row.quorum_at + grace)
