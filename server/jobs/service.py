"""Submitting and cancelling jobs."""

from collections.abc import Sequence
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from server.auth import Principal
from server.context import Context
from server.database import lock_job, to_json
from server.errors import ProblemError, not_found
from server.idempotency import once
from server.jobs.admission import Offers, Reason, refusals
from server.jobs.lineage import inherited_states
from server.jobs.repository import Seen, forks_of, get_job, offers_of
from server.lifecycle import created, record, transition
from server.outbox import ask_advance
from server.specs import spec_of
from server.tables import Job, JobClient
from server.waiting.query import waiting_of, waits
from shared.job_spec import JobSpec
from shared.messages import ClientOffer
from shared.problem_codes import Code
from shared.shelf_spec import ShelfForm, agreed
from shared.states import JOB_TERMINAL, JobState
from shared.views import FailureView, ForkOrigin, ForkView, JobDetail, JobView
from shared.waiting import Waiting


def submit(session: Session, principal: Principal, spec: JobSpec, key: str | None) -> Job:
    """Store the job and have it started. Raises ProblemError (422) with every reason against it."""
    resource, _ = once(
        session, principal, "POST /v1/jobs", key, spec, lambda: str(_store(session, spec))
    )
    return get_job(session, UUID(resource))


def _store(session: Session, spec: JobSpec) -> UUID:
    offers = offers_of(session, spec.clients)
    refuse(refusals(spec, offers))
    job = Job(
        id=uuid4(),
        name=spec.name,
        spec=to_json(spec),
        state=JobState.SUBMITTED,
        priority=spec.priority,
    )
    add_job(session, job, spec, offers)
    return job.id


def refuse(reasons: Sequence[Reason]) -> None:
    """Raises ProblemError (422) with every reason, if there is one."""
    if reasons:
        sentences = [reason.sentence for reason in reasons]
        raise ProblemError(
            422, reasons[0].code, f"The job cannot run: {sentences[0]}.", errors=sentences
        )


def add_job(session: Session, job: Job, spec: JobSpec, offers: Offers) -> None:
    """Add the new job with its clients' offers, frozen, and have it started."""
    parent = str(job.forked_from) if job.forked_from else None
    created(session, job, clients=len(spec.clients), rounds=spec.rounds.count, forked_from=parent)
    for client, offer in offers.items():
        if offer is not None:
            frozen = to_json(offer.model_copy(update={"card": None}))
            session.add(JobClient(job_id=job.id, client_id=client, offer=frozen))
            _note_declined(session, job, spec, client, offer)
    ask_advance(session, job)
    session.flush()


def _note_declined(
    session: Session, job: Job, spec: JobSpec, client: str, offer: ClientOffer
) -> None:
    """Say of a client that goes without what the job asks of its personal model."""
    if spec.shelf is not ShelfForm.NONE and agreed(spec.shelf, offer.shelf) is ShelfForm.NONE:
        record(session, "shelf.declined", job.id, {"client": client, "asked": spec.shelf})


def cancel(session: Session, job_id: UUID) -> Job:
    """Have the job end; again for a cancelled one is no error. Raises ProblemError (404, 409)."""
    job = lock_job(session, job_id)
    if job is None:
        raise not_found("job")
    if job.state in JOB_TERMINAL - {JobState.CANCELLED}:
        raise ProblemError(
            409, Code.JOB_ENDED, f"The job has {job.state}: there is nothing to cancel."
        )
    if job.state not in {JobState.CANCELLING, JobState.CANCELLED}:
        transition(session, job, JobState.CANCELLING)
        ask_advance(session, job)
    return job


def moved(context: Context, session: Session, job: Job) -> JobView:
    """A job that an operator has just moved, as operators read it."""
    session.flush()
    session.refresh(job)
    return job_view(job, waiting_of(waits(context, session, [job]), job.id))


def job_view(job: Job, waiting: Waiting | None = None) -> JobView:
    """The job as operators read it in a list."""
    return _view(job, spec_of(job), waiting)


def shown(context: Context, session: Session, seen: Seen) -> JobDetail:
    """The job as operators read it alone, with its lineage and the reason for its waiting."""
    job = seen.job
    spec = spec_of(job)
    view = _view(job, spec, waiting_of(waits(context, session, [job], seen.now), job.id))
    fork = None
    if view.forked_from is not None:
        states = inherited_states(session, job.id)
        fork = ForkView(**dict(view.forked_from), personal_states=states)
    return JobDetail(
        **{**dict(view), "forked_from": fork},
        spec=spec,
        forks=forks_of(session, job.id),
        last_event=seen.last_event,
    )


def _view(job: Job, spec: JobSpec, waiting: Waiting | None) -> JobView:
    return JobView(
        id=job.id,
        name=job.name,
        algorithm=spec.algorithm.name,
        state=job.state,
        round=job.round_number,
        rounds=spec.rounds.count,
        clients=spec.clients,
        created_at=job.created_at,
        updated_at=job.updated_at,
        failure=failure_view(job.failure_code, job.failure_message),
        waiting=waiting,
        forked_from=origin_view(job),
    )


def origin_view(job: Job) -> ForkOrigin | None:
    """Which job and round it was forked from, if it was."""
    if job.forked_from is None or job.forked_round is None:
        return None
    return ForkOrigin(
        job=job.forked_from, round=job.forked_round, personal_round=job.forked_personal_round
    )


def failure_view(code: str | None, message: str | None) -> FailureView | None:
    """Why something failed, if it did."""
    return FailureView(code=code, message=message or "") if code else None
