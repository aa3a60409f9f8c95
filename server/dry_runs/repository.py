"""Queries about dry runs, and about what such work took before."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from server.columns import Scope, among
from server.dry_runs.durations import Measured, alike
from server.errors import not_found
from server.side_tables import DryRun, IdempotencyKey
from server.tables import ApiKey, Assignment, Client, Job
from shared.job_spec import JobSpec
from shared.messages import AssignmentKind, Catalogue
from shared.results import LONGEST_S, Pace
from shared.states import AssignmentState

_VERB = ":dry-run"
ROUTE = f"POST /v1/jobs{_VERB}"  # under which its idempotency keys stand
MOST_ATTEMPTS = 3
_KEPT = timedelta(days=1)
_JOBS_LOOKED_AT, _JOBS_MEASURED, _MOST_ASSIGNMENTS = 50, 5, 2000


def fork_route(parent: UUID) -> str:
    """As `ROUTE`, for trying out forks of a job."""
    return f"POST /v1/jobs/{parent}/fork{_VERB}"


def get(session: Session, dry_run: UUID) -> DryRun:
    """The dry run. Raises ProblemError (404)."""
    row = session.get(DryRun, dry_run)
    if row is None:
        raise not_found("dry run")
    return row


def lock_next(session: Session) -> DryRun | None:
    """The oldest that waits for a planner, locked."""
    query = (
        select(DryRun)
        .where(
            DryRun.answered_at.is_(None),
            DryRun.attempt < MOST_ATTEMPTS,
            DryRun.lease_until <= func.now(),
        )
        .order_by(DryRun.created_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return session.scalars(query).one_or_none()


def waits(session: Session, dry_run: UUID) -> bool:
    """Whether a planner may still answer."""
    query = select(DryRun.id).where(
        DryRun.id == dry_run,
        DryRun.answered_at.is_(None),
        or_(DryRun.attempt < MOST_ATTEMPTS, DryRun.lease_until > func.now()),
    )
    return session.scalar(query) is not None


def drop_old(session: Session) -> None:
    """Forget what was asked a day ago, and the keys that name it."""
    session.execute(delete(DryRun).where(DryRun.created_at < func.now() - _KEPT))
    session.execute(
        delete(IdempotencyKey).where(
            IdempotencyKey.route.endswith(_VERB), IdempotencyKey.created_at < func.now() - _KEPT
        )
    )


def clients_of(session: Session, clients: Sequence[str]) -> list[Client]:
    """The registered ones among them, not locked."""
    query = select(Client).where(among(Client.id, clients)).order_by(Client.id)
    return list(session.scalars(query))


def planner_seen_at(session: Session) -> datetime | None:
    """When a planner with a valid key last called."""
    query = select(func.max(ApiKey.seen_at)).where(
        ApiKey.scope == Scope.PLANNER, ApiKey.revoked_at.is_(None)
    )
    return session.scalar(query)


def measured(
    session: Session, spec: JobSpec, base_digest: str, values: Mapping[str, int]
) -> dict[str, list[Measured]]:
    """What each client's accepted assignments took in the newest jobs like this one.

    values: the trainable values of each client's components, which must be as many.
    """
    found: dict[str, list[Measured]] = {client: [] for client in values}
    for job_id, other in _jobs_like(session, spec, base_digest):
        sizes = _n_values(session, job_id)
        for client, kind, components, seconds, pace in _accepted(session, job_id, list(values)):
            if sum(sizes[name] for name in components) == values[client]:
                found[client].append(Measured(kind, _steps(kind, other), seconds, pace))
    return found


def _jobs_like(session: Session, spec: JobSpec, base_digest: str) -> list[tuple[UUID, JobSpec]]:
    """The newest jobs on the same base whose steps cost the same."""
    query = (
        select(Job.id, Job.spec)
        .where(Job.base_digest == base_digest)
        .order_by(Job.created_at.desc())
        .limit(_JOBS_LOOKED_AT)
    )
    found = [(job_id, JobSpec.model_validate(data)) for job_id, data in session.execute(query)]
    return [(job_id, other) for job_id, other in found if alike(spec, other)][:_JOBS_MEASURED]


def _steps(kind: AssignmentKind, spec: JobSpec) -> int:
    """The optimizer steps that such an assignment was asked for."""
    return spec.training.local_steps if kind is AssignmentKind.TRAIN else spec.post.steps


def _n_values(session: Session, job_id: UUID) -> dict[str, int]:
    """The trainable values of each of the job's components."""
    data = session.execute(select(Job.catalogue).where(Job.id == job_id)).scalar_one()
    return {
        name: sum(tensor.n_values for tensor in component.tensors.values())
        for name, component in Catalogue.model_validate(data).components.items()
    }


def _accepted(
    session: Session, job_id: UUID, clients: Sequence[str]
) -> Iterator[tuple[str, AssignmentKind, list[str], float, Pace | None]]:
    """Client, kind, components, seconds and pace of the newest accepted assignments."""
    query = (
        select(
            Assignment.client_id,
            Assignment.kind,
            Assignment.components,
            Assignment.result["traffic"]["seconds"].as_float(),
            Assignment.result["pace"],
        )
        .where(
            Assignment.job_id == job_id,
            Assignment.client_id.in_(clients),
            Assignment.state == AssignmentState.ACCEPTED,
        )
        .order_by(Assignment.created_at.desc())
        .limit(_MOST_ASSIGNMENTS)
    )
    for client, kind, components, seconds, pace in session.execute(query):
        said = Pace.model_validate(pace) if pace else None
        yield client or "", kind, components, min(seconds, LONGEST_S), said
