"""Asking for a dry run, and what planners do with it."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import func
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from server.auth import Principal
from server.context import Context
from server.database import Sessions, glance, to_json
from server.dry_runs import repository
from server.errors import invalid, not_found
from server.idempotency import once
from server.jobs.admission import Reason, refusals
from server.outbox import wake_planner
from server.rounds.service import component_names
from server.side_tables import DryRun
from server.updates.catalogue import check
from shared.dry_run import DryRunClaim, DryRunDescription, DryRunFailure, ReasonView
from shared.job_spec import JobSpec
from shared.messages import ClientOffer

_LEASE = timedelta(minutes=5)  # a planner gives up before
_EVERY_S = 0.3


def ask(session: Session, principal: Principal, spec: JobSpec, key: str | None) -> DryRun:
    """Note what is asked, and have a planner describe it unless it could not run anyway.

    No client's row is locked: what it offers later is for another dry run.
    """
    made, _ = once(
        session, principal, repository.ROUTE, key, spec, lambda: str(_store(session, spec))
    )
    return repository.get(session, UUID(made))


def _store(session: Session, spec: JobSpec) -> UUID:
    offers = offers_now(session, spec)
    row = noted(spec, offers, refusals(spec, offers))
    if row.reasons:
        row.answered_at = func.now()
    else:
        wake_planner(session, row.id)
    session.add(row)
    session.flush()
    return row.id


def offers_now(session: Session, spec: JobSpec) -> dict[str, ClientOffer | None]:
    """What the registered clients among the spec's have, without their cards."""
    rows = repository.clients_of(session, spec.clients)
    return {row.id: _offer(row.offer) for row in rows}


def noted(
    spec: JobSpec, offers: Mapping[str, ClientOffer | None], against: Sequence[Reason]
) -> DryRun:
    """A row for what was asked, and what stands against it."""
    made = [offer for offer in offers.values() if offer]
    return DryRun(
        id=uuid4(),
        spec=to_json(spec),
        offers={client: offer and to_json(offer) for client, offer in offers.items()},
        components=[] if against else component_names(spec, made),
        reasons=[to_json(ReasonView(code=r.code, sentence=r.sentence)) for r in against],
    )


def _offer(data: dict[str, object] | None) -> ClientOffer | None:
    if data is None:
        return None
    return ClientOffer.model_validate(data).model_copy(update={"card": None})


async def answered(context: Context, dry_run: UUID, wait_s: float) -> None:
    """Wait until the dry run is complete, but not longer. No thread is held meanwhile."""
    clock = asyncio.get_running_loop().time
    end = clock() + wait_s
    while (left := end - clock()) > 0:
        if not await run_in_threadpool(_waits, context.sessions, dry_run):
            return
        await asyncio.sleep(min(left, _EVERY_S))


def _waits(sessions: Sessions, dry_run: UUID) -> bool:
    with glance(sessions) as session:
        return repository.waits(session, dry_run)


def claim(session: Session) -> DryRunClaim | None:
    """Give a planner the oldest dry run that waits, for a while."""
    row = repository.lock_next(session)
    if row is None:
        return None
    row.attempt += 1
    row.lease_until = func.now() + _LEASE
    return DryRunClaim(
        id=row.id, spec=JobSpec.model_validate(row.spec), components=tuple(row.components)
    )


def describe(session: Session, dry_run: UUID, found: DryRunDescription) -> None:
    """Store a planner's answer; the first one counts, for all would say the same.

    Raises ProblemError (404, 422).
    """
    row = _lock(session, dry_run)
    if row.answered_at is not None:
        return
    check(row.components, JobSpec.model_validate(row.spec), found.catalogue)
    if found.version.keys() != found.catalogue.components.keys():
        raise invalid(["version: has other components than the catalogue; name the same in both"])
    row.description = to_json(found)
    row.answered_at = func.now()


def fail(session: Session, dry_run: UUID, failure: DryRunFailure) -> None:
    """Store why a planner cannot make the components. Raises ProblemError (404)."""
    row = _lock(session, dry_run)
    if row.answered_at is None:
        row.failure_code = failure.code
        row.failure_message = failure.message
        row.answered_at = func.now()


def forget_old(sessions: Sessions) -> None:
    """Forget what was asked a day ago."""
    with sessions.begin() as session:
        repository.drop_old(session)


def _lock(session: Session, dry_run: UUID) -> DryRun:
    row = session.get(DryRun, dry_run, with_for_update=True)
    if row is None:
        raise not_found("dry run")
    return row
