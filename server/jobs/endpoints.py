"""Routes of operators about jobs."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body

from server.auth import Operator, Viewer
from server.context import App
from server.database import glance, killable
from server.documentation import example, problems
from server.events.patience import PATIENCE
from server.examples import (
    FORK,
    FORKED_JOB,
    JOB,
    JOB_DETAIL,
    JOB_SPEC,
    JOBS,
    PARENT_JOB,
    PAUSED_JOB,
)
from server.idempotency import Key
from server.jobs import forking, pausing, repository, service
from server.jobs.filtering import Filter
from server.paging import Cursor, Limit
from server.waiting.query import waiting_of, waits
from shared.job_spec import JobSpec
from shared.problem_codes import Code
from shared.views import JobDetail, JobFork, JobList, JobView

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
_ADMISSION = (
    Code.IDEMPOTENCY_KEY_REUSED,
    Code.UNKNOWN_CLIENT,
    Code.CLIENT_WITHOUT_OFFER,
    Code.CLIENT_WITHOUT_TASK,
    Code.OFFER_MISMATCH,
    Code.TASK_WITHOUT_CLIENT,
    Code.MODALITY_WITHOUT_CLIENT,
    Code.QUORUM_UNREACHABLE,
    Code.NO_TEACHER,
)
_FORKING = (
    Code.NO_VERSION,
    Code.NO_PERSONAL_STATES,
    Code.NO_ROUNDS_LEFT,
    Code.OTHER_MODEL,
    Code.OTHER_TASK,
    Code.TASK_WITHDRAWN,
    Code.NO_COMPONENT,
)


@router.post(
    "",
    status_code=201,
    summary="Launch a job",
    responses={
        **example(JOB_DETAIL, "The job is stored and will start.", 201),
        **problems(*_ADMISSION),
    },
    openapi_extra={"requestBody": {"content": {"application/json": {"example": JOB_SPEC}}}},
)
def launch(spec: JobSpec, app: App, principal: Operator, key: Key = None) -> JobDetail:
    """Store a job spec and start the job; refused with every reason where it could never work."""
    with killable(app.sessions, "api.submit") as session:
        job = service.submit(session, principal, spec, key)
        return service.shown(app, session, repository.see_job(session, job.id))


@router.get(
    "",
    summary="List jobs",
    responses={**example(JOBS, "Jobs."), **problems()},
)
def list_jobs(
    app: App, _: Viewer, wanted: Filter, cursor: Cursor = None, limit: Limit = 50
) -> JobList:
    """List jobs in pages, newest first unless another order is asked for."""
    with app.sessions.begin() as session:
        rows = repository.jobs(session, wanted.behind(cursor), limit + 1)
        page, following = wanted.cut(rows, limit)
        why = waits(app, session, page)
        items = tuple(service.job_view(row, waiting_of(why, row.id)) for row in page)
        return JobList(items=items, next=following)


@router.get(
    "/{job_id}",
    summary="Show a job",
    dependencies=[PATIENCE],
    responses={
        **example(PARENT_JOB, "The job with its spec and its forks."),
        **problems(Code.NOT_FOUND),
    },
)
def show_job(job_id: UUID, app: App, _: Viewer) -> JobDetail:
    """Show one job: where it stands, its whole spec, its parent and its forks."""
    with glance(app.sessions) as session:
        return service.shown(app, session, repository.see_job(session, job_id))


@router.post(
    "/{job_id}/cancel",
    summary="Cancel a job",
    responses={**example(JOB, "The job is ending."), **problems(Code.NOT_FOUND, Code.JOB_ENDED)},
)
def cancel_job(job_id: UUID, app: App, _: Operator) -> JobView:
    """End a job that has not ended; its workers stop at their next heartbeat."""
    with killable(app.sessions, "api.cancel") as session:
        return service.moved(app, session, service.cancel(session, job_id))


@router.post(
    "/{job_id}/pause",
    summary="Pause a job",
    responses={
        **example(PAUSED_JOB, "The job is paused."),
        **problems(Code.NOT_FOUND, Code.JOB_ENDED),
    },
)
def pause_job(job_id: UUID, app: App, _: Operator) -> JobView:
    """Begin nothing new for the job until it is resumed; what clients work on is still taken."""
    with killable(app.sessions, "api.pause") as session:
        return service.moved(app, session, pausing.pause(session, job_id))


@router.post(
    "/{job_id}/resume",
    summary="Resume a job",
    responses={**example(JOB, "The job goes on."), **problems(Code.NOT_FOUND, Code.JOB_ENDED)},
)
def resume_job(job_id: UUID, app: App, _: Operator) -> JobView:
    """Go on with a paused job; its round's deadline moves on by the time of the pause."""
    with killable(app.sessions, "api.resume") as session:
        return service.moved(app, session, pausing.resume(session, job_id))


@router.post(
    "/{job_id}/fork",
    status_code=201,
    summary="Fork a job",
    responses={
        **example(FORKED_JOB, "The fork is stored and will start.", 201),
        **problems(Code.NOT_FOUND, *_ADMISSION, *_FORKING),
    },
)
def fork_job(
    job_id: UUID,
    wish: Annotated[JobFork, Body(examples=[FORK])],
    app: App,
    principal: Operator,
    key: Key = None,
) -> JobDetail:
    """Launch a job that begins with a version of this one and goes on by a spec of its own."""
    with killable(app.sessions, "api.fork") as session:
        job = forking.fork(session, principal, job_id, wish, key)
        return service.shown(app, session, repository.see_job(session, job.id))
