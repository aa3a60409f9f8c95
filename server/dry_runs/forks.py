"""Trying a fork out: its parent has the catalogue and the bytes, so that no planner is asked."""

from uuid import UUID

from sqlalchemy import func
from sqlalchemy.orm import Session

from server.auth import Principal
from server.database import to_json
from server.dry_runs import repository
from server.dry_runs.service import noted, offers_now
from server.idempotency import once
from server.jobs.forking import against, origin_of
from server.jobs.repository import get_job
from server.side_tables import DryRun
from server.tables import Job
from server.versions.repository import entries
from shared.dry_run import DryRunDescription
from shared.messages import Catalogue
from shared.views import JobFork


def ask(
    session: Session, principal: Principal, parent_id: UUID, wish: JobFork, key: str | None
) -> DryRun:
    """Note what is asked, with its answer. Raises ProblemError (404, 409), as forking would."""
    parent, route = get_job(session, parent_id), repository.fork_route(parent_id)
    made, _ = once(session, principal, route, key, wish, lambda: str(_store(session, parent, wish)))
    return repository.get(session, UUID(made))


def _store(session: Session, parent: Job, wish: JobFork) -> UUID:
    origin, offers = origin_of(session, parent, wish), offers_now(session, wish.spec)
    row = noted(wish.spec, offers, against(wish.spec, offers, origin))
    row.forked_from, row.forked_round = parent.id, wish.round
    row.forked_personal_round = wish.other_personal_round
    if not row.reasons:
        row.description = to_json(_described(session, parent, wish.round))
    row.answered_at = func.now()
    session.add(row)
    session.flush()
    return row.id


def _described(session: Session, parent: Job, number: int) -> DryRunDescription:
    return DryRunDescription(
        catalogue=Catalogue.model_validate(parent.catalogue),
        version={entry.component: entry.sha256 for entry in entries(session, parent.id, number)},
    )
