"""Forking: a new job that goes on from a version of another."""

from collections.abc import Sequence
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from server.auth import Principal
from server.database import to_json
from server.errors import ProblemError
from server.idempotency import once
from server.jobs.admission import Offers, Reason, refusals
from server.jobs.fork_admission import Origin, fork_refusals
from server.jobs.lineage import first_states, hand_down_personal_states, states_after
from server.jobs.repository import get_job, offers_of
from server.jobs.service import add_job, refuse
from server.rounds.service import frozen_offers
from server.specs import spec_of
from server.tables import Job
from server.versions.repository import get_version, newest_version, summaries
from shared.job_spec import JobSpec
from shared.messages import Catalogue
from shared.problem_codes import Code
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
    origin = origin_of(session, parent, wish)
    spec = wish.spec
    offers = offers_of(session, spec.clients)
    refuse(against(spec, offers, origin))
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
        forked_personal_round=wish.other_personal_round,
    )
    add_job(session, job, spec, offers)
    if wish.personal_states == "parent":
        hand_down_personal_states(session, job)
    return job.id


def against(spec: JobSpec, offers: Offers, origin: Origin) -> tuple[Reason, ...]:
    """All reasons why the fork could not run."""
    return (*refusals(spec, offers, origin.spec.tasks), *fork_refusals(spec, offers, origin))


def origin_of(session: Session, parent: Job, wish: JobFork) -> Origin:
    """What the fork would begin with. Raises ProblemError (409) where there is no such state."""
    if get_version(session, parent.id, wish.round) is None:
        raise _no_version(session, parent, wish.round)
    _check_personal_round(session, parent, wish)
    return Origin(
        number=wish.round,
        spec=spec_of(parent),
        base_digest=parent.base_digest,
        components=Catalogue.model_validate(parent.catalogue).components,
        offers=frozen_offers(session, parent.id),
    )


def _check_personal_round(session: Session, parent: Job, wish: JobFork) -> None:
    """Raises ProblemError where no client of the fork has a state of the round that it names."""
    number, clients = wish.personal_round, wish.spec.clients
    if number is None:
        return
    there = get_version(session, parent.id, number) is not None
    if not there or not states_after(session, parent.id, number).keys() & clients:
        raise _no_personal_states(session, parent, number, clients)


def _no_personal_states(
    session: Session, parent: Job, number: int, clients: Sequence[str]
) -> ProblemError:
    first, last = first_states(session, parent, clients), newest_version(session, parent.id)
    if first is None:
        remedy = "they have none of any round, so leave personal_round out"
    else:
        remedy = f"choose one of {first} to {last}"
    detail = f"The clients have no personal states of round {number}: {remedy}."
    return ProblemError(409, Code.NO_PERSONAL_STATES, detail)


def _no_version(session: Session, parent: Job, number: int) -> ProblemError:
    found = summaries(session, parent.id)
    if found:
        remedy = f"choose one of {found[0].number} to {found[-1].number}"
    else:
        remedy = "wait until it is planned"
    return ProblemError(409, Code.NO_VERSION, f"The job has no version {number}: {remedy}.")
