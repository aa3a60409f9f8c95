"""From accepted contributions to a version: aggregate without locks, then compare and set."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from server.aggregation import Average, disclosed
from server.aggregation import Contribution as Share
from server.context import Context
from server.database import lock_job
from server.jobs.phases import after
from server.jobs.renewing import renewed
from server.lifecycle import record, transition
from server.rounds.aggregating import Publishing, holds, publishing
from server.rounds.repository import accepted
from server.rounds.service import frozen_offers
from server.specs import spec_of
from server.tables import (
    Artifact,
    Contribution,
    Job,
    Round,
    Version,
    VersionComponent,
)
from shared.aggregation_spec import LowRankAggregation
from shared.artifacts import FULL, StoreAwayError
from shared.crash_points import crash_point
from shared.messages import Catalogue
from shared.results import PlanResult
from shared.states import RoundState
from shared.tensor_file import component_layout

PAUSE = timedelta(seconds=5)  # after an attempt that failed
_FULL_PAUSE = timedelta(seconds=30)  # while the disk is full, which somebody has to change


@dataclass(frozen=True, slots=True)
class Order:
    """A round to aggregate, held by `lease_id`."""

    job_id: UUID
    round_id: UUID
    number: int
    lease_id: UUID
    lease: timedelta
    catalogue: Catalogue
    low_rank: LowRankAggregation
    shares: Mapping[str, Sequence[Share]]  # by component, in client order
    held_back: int  # components that too few have trained


Made = dict[str, Average]  # by component


def take(session: Session, job: Job, row: Round, lease: timedelta) -> Order:
    """Take the lease of an aggregating round, and read what is to be aggregated."""
    row.lease_id = uuid4()
    row.lease_until = func.now() + lease
    job.due_at = func.now() + lease
    shares: dict[str, list[Share]] = {}
    query = select(Contribution).where(Contribution.round_id == row.id)
    for c in session.scalars(query.order_by(Contribution.component, Contribution.client_id)):
        shares.setdefault(c.component, []).append(Share(c.client_id, c.sha256, c.weight))
    catalogue, spec = Catalogue.model_validate(job.catalogue), spec_of(job)
    averaged: Mapping[str, Sequence[Share]] = shares
    if spec.aggregation.min_contributors > 1:
        averaged = disclosed(shares, spec, frozen_offers(session, job.id).values())
    held_back = len(shares) - len(averaged)
    held, low_rank = (row.lease_id, lease), spec.aggregation.low_rank
    return Order(job.id, row.id, row.number, *held, catalogue, low_rank, averaged, held_back)


def aggregate_round(context: Context, order: Order) -> Made:
    """Average each component that somebody trained; holds no lock while it computes.

    Raises LeaseLostError, and what `context.aggregate` raises.
    """
    made: Made = {}
    with renewed(context, order.round_id, order.lease_id, order.lease) as check:
        for component, shares in order.shares.items():
            check()
            spec = order.catalogue.components[component]
            made[component] = context.aggregate(shares, spec, context.store, order.low_rank)
            context.meters.aggregated_bytes.inc(len(shares) * component_layout(spec).n_bytes)
            crash_point("coordinator.averaged")
    crash_point("coordinator.aggregated")
    return made


def give_back(session: Session, order: Order, error: Exception) -> None:
    """Let the round be tried again soon, and record why this attempt failed.

    It counts, unless there was no space for it, or the store was away: then the round waits until
    that is over. An attempt whose coordinator was killed has not failed, and does not count.
    """
    job = lock_job(session, order.job_id)
    row = _locked(session, order)
    if job is None or not holds(row, order.lease_id):
        return
    full = isinstance(error, OSError) and error.errno in FULL
    row.attempt += not (full or isinstance(error, StoreAwayError))
    pause = _FULL_PAUSE if full else PAUSE
    row.lease_until = job.due_at = func.now() + pause
    reason = f"{type(error).__name__}: {error}"[:500]
    record(
        session,
        "round.aggregation_failed",
        job.id,
        {"round": row.number, "reason": reason, "pause_s": pause.total_seconds()},
    )


def leave(session: Session, order: Order) -> None:
    """End an attempt that Postgres did not let pass; it does not count.

    Where Postgres is still away the lease runs out by itself.
    """
    job = lock_job(session, order.job_id)
    row = _locked(session, order)
    if job is not None and holds(row, order.lease_id):
        _put_back(row)
        job.due_at = func.now() + PAUSE


def publish(session: Session, order: Order, made: Made) -> None:
    """Make the version and open what follows, if the round is still this aggregator's.

    Where the job was paused meanwhile, the lease goes back: the same is made again on resuming.
    """
    job = lock_job(session, order.job_id)
    row = _locked(session, order)
    if job is None:
        return
    match publishing(job.state, row, order.lease_id):
        case Publishing.LOST:
            return
        case Publishing.PUT_BACK:
            _put_back(row)
        case Publishing.PUBLISH:
            manifest = _following(session, row, made)
            _store_version(session, row, manifest, order.catalogue)
            told = {"held_back": order.held_back} if order.held_back else {}
            _note_held_back(session, order)
            changed = len(made)
            transition(
                session, row, RoundState.PUBLISHED, version=row.number, changed=changed, **told
            )
            after(session, job, row)


def _note_held_back(session: Session, order: Order) -> None:
    """Note at the contributions which of them were not averaged."""
    if order.held_back:
        session.execute(
            update(Contribution)
            .where(Contribution.round_id == order.round_id)
            .where(Contribution.component.not_in(list(order.shares)))
            .values(verdict="held_back")
        )


def _put_back(row: Round) -> None:
    """End the lease of an attempt that did not fail."""
    row.lease_id = uuid4()
    row.lease_until = func.now()


def _locked(session: Session, order: Order) -> Round:
    return session.get_one(Round, order.round_id, with_for_update={"key_share": True})


def publish_first(session: Session, row: Round) -> None:
    """Make version 0 from what the planner uploaded."""
    [assignment] = accepted(session, row.id)
    result = PlanResult.model_validate(assignment.result)
    job = session.get_one(Job, row.job_id)
    manifest = {name: _Entry(sha256, 0) for name, sha256 in result.components.items()}
    _store_version(session, row, manifest, Catalogue.model_validate(job.catalogue))


@dataclass(frozen=True, slots=True)
class _Entry:
    """A component of a version."""

    sha256: str
    made_in: int
    relative_error: float | None = None


def _following(session: Session, row: Round, made: Made) -> dict[str, _Entry]:
    """The version before, with the artifacts that are new."""
    query = select(VersionComponent).where(
        VersionComponent.job_id == row.job_id, VersionComponent.version == row.number - 1
    )
    manifest = {
        c.component: _Entry(c.sha256, c.made_in, c.relative_error) for c in session.scalars(query)
    }
    for component, average in made.items():
        if manifest[component].sha256 != average.sha256:
            manifest[component] = _Entry(average.sha256, row.number, average.relative_error)
    return manifest


def _store_version(
    session: Session, row: Round, manifest: dict[str, _Entry], catalogue: Catalogue
) -> None:
    artifacts = [
        {"sha256": e.sha256, "n_bytes": component_layout(catalogue.components[name]).n_bytes}
        for name, e in manifest.items()
        if e.made_in == row.number
    ]
    if artifacts:
        session.execute(insert(Artifact).values(artifacts).on_conflict_do_nothing())
    session.add(Version(job_id=row.job_id, number=row.number, round_id=row.id))
    session.flush()
    session.add_all(
        VersionComponent(job_id=row.job_id, version=row.number, component=name, **asdict(entry))
        for name, entry in manifest.items()
    )
    session.flush()
