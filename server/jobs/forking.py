"""Forking: a new job that goes on from a version of another."""

from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from server.auth import Principal
from server.database import to_json
from server.errors import ProblemError
from server.idempotency import once
from server.jobs.admission import refusals
from server.jobs.fork_admission import Origin, fork_refusals
from server.jobs.lineage import hand_down_personal_states
from server.jobs.repository import get_job, offers_of
from server.jobs.service import add_job, refuse
from server.rounds.service import frozen_offers
from server.tables import Job
from server.versions.repository import get_version, summaries
from shared.job_spec import JobSpec
from shared.messages import Catalogue
from shared.states import JobState
from shared.views import JobFork


def fork(
    session: Session, principal: Principal, parent_id: UUID, wish: JobFork, key: str | None
) -> Job:
    """Store the fork and have it started. Raises ProblemError (404, 409, 422)."""
    parent = get_job(session, parent_id)
    route = f"POST /v1/jobs/{parent_id}/fork"
    resource, _ = once(
        session, principal, route, key, wish, lambda: str(_store(session, parent, wish))
    )
    return get_job(session, UUID(resource))


def _store(session: Session, parent: Job, wish: JobFork) -> UUID:
    origin = _origin(session, parent, wish.round)
    spec = wish.spec
    offers = offers_of(session, spec.clients)
    refuse((*refusals(spec, offers), *fork_refusals(spec, offers, origin)))
    job = Job(
        id=uuid4(),
        name=spec.name,
        spec=to_json(spec),
        state=JobState.SUBMITTED,
        priority=spec.priority,
        round_number=wish.round,
        catalogue=parent.catalogue,
        base_digest=parent.base_digest,
        forked_from=parent.id,
        forked_round=wish.round,
    )
    add_job(session, job, spec, offers)
    if wish.personal_states == "parent":
        hand_down_personal_states(session, job)
    return job.id


def _origin(session: Session, parent: Job, number: int) -> Origin:
    if get_version(session, parent.id, number) is None:
        raise _no_version(session, parent, number)
    return Origin(
        number=number,
        spec=JobSpec.model_validate(parent.spec),
        base_digest=parent.base_digest,
        components=Catalogue.model_validate(parent.catalogue).components,
        offers=frozen_offers(session, parent.id),
    )


def _no_version(session: Session, parent: Job, number: int) -> ProblemError:
    found = summaries(session, parent.id)
    if found:
        remedy = f"choose one of {found[0].number} to {found[-1].number}"
    else:
        remedy = "wait until it is planned"
    return ProblemError(409, "no_version", f"The job has no version {number}: {remedy}.")
