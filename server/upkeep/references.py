"""Which artifacts somebody still needs."""

from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from server.side_tables import ShelfModel
from server.tables import Assignment, Contribution, Round, UploadedComponent, VersionComponent
from shared.states import ASSIGNMENT_ACTIVE, ROUND_TERMINAL, RoundState

_LIVE = set(RoundState) - ROUND_TERMINAL


def referenced(session: Session, wanted: Iterable[str], late: timedelta) -> set[str]:
    """Those that a version, a round that is not closed, an assignment or the shelf still needs.

    What was uploaded for an assignment is needed until its round has been closed for `late`.
    """
    names = list(wanted)
    live = Round.state.in_(_LIVE)
    in_versions = select(VersionComponent.sha256).where(VersionComponent.sha256.in_(names))
    in_rounds = (
        select(Contribution.sha256)
        .join(Round, Round.id == Contribution.round_id)
        .where(live, Contribution.sha256.in_(names))
    )
    in_assignments = (
        select(UploadedComponent.sha256)
        .join(Assignment, Assignment.id == UploadedComponent.assignment_id)
        .join(Round, Round.id == Assignment.round_id)
        .where(
            UploadedComponent.sha256.in_(names),
            or_(
                live,
                Assignment.state.in_(ASSIGNMENT_ACTIVE),
                Round.closed_at > func.now() - late,
            ),
        )
    )
    on_shelf = select(ShelfModel.sha256).where(
        ShelfModel.sha256.in_(names),
        ShelfModel.completed_at.is_not(None),
        ShelfModel.deleted_at.is_(None),
    )
    return set(session.scalars(in_versions.union(in_rounds, in_assignments, on_shelf)))
