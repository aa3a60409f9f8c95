"""Routes about dry runs: operators ask, planners describe."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Query, Response
from starlette.concurrency import run_in_threadpool

from server.auth import Operator, PlannerOnly, Principal, Viewer
from server.context import App, Context
from server.database import killable
from server.documentation import OF_BODIES, example, problems
from server.dry_runs import forks, repository, service
from server.dry_runs.view import shown
from server.examples import (
    DRY_RUN,
    DRY_RUN_CLAIM,
    DRY_RUN_DESCRIPTION,
    DRY_RUN_FAILURE,
    FORK,
    FORK_DRY_RUN,
    JOB_SPEC,
)
from server.idempotency import Key
from shared.dry_run import DryRunClaim, DryRunDescription, DryRunFailure, DryRunView
from shared.job_spec import JobSpec
from shared.problem_codes import Code
from shared.views import JobFork

router = APIRouter(prefix="/v1", tags=["dry runs"])

Wait = Annotated[
    float,
    Query(ge=0, le=60, description="Seconds to wait for a planner's answer before answering."),
]


@router.post(
    "/jobs:dry-run",
    status_code=201,
    summary="Try a job out",
    responses={
        **example(DRY_RUN, "What the job would need and cost, as far as it is known.", 201),
        **problems(*OF_BODIES, Code.IDEMPOTENCY_KEY_REUSED),
    },
    openapi_extra={"requestBody": {"content": {"application/json": {"example": JOB_SPEC}}}},
)
async def dry_run(
    spec: JobSpec, app: App, principal: Operator, key: Key = None, wait: Wait = 0
) -> DryRunView:
    """Say whether a job could run, with whom, and what it would cost; nothing of it is launched.

    All reasons and warnings are in the answer, where launching it would be refused. Sizes come from
    a planner: wait for it here, or ask for the dry run again until it is complete.
    """
    made = await run_in_threadpool(_ask, app, principal, spec, key)
    await service.answered(app, made, wait)
    return await run_in_threadpool(_shown, app, made)


@router.post(
    "/jobs/{job_id}/fork:dry-run",
    status_code=201,
    summary="Try a fork out",
    responses={
        **example(FORK_DRY_RUN, "What the fork would need and cost.", 201),
        **problems(
            Code.NOT_FOUND,
            *OF_BODIES,
            Code.IDEMPOTENCY_KEY_REUSED,
            Code.NO_VERSION,
            Code.NO_PERSONAL_STATES,
        ),
    },
)
def dry_run_of_fork(
    job_id: UUID,
    wish: Annotated[JobFork, Body(examples=[FORK])],
    app: App,
    principal: Operator,
    key: Key = None,
) -> DryRunView:
    """Say whether a fork could run, with whom, and what it would cost; nothing of it is launched.

    The answer is complete at once: sizes and bytes are those of the version that it would begin
    with. Rounds, bytes and times are of what would follow.
    """
    with app.sessions.begin() as session:
        return shown(session, forks.ask(session, principal, job_id, wish, key))


@router.get(
    "/dry-runs/{dry_run_id}",
    summary="Show a dry run",
    responses={
        **example(DRY_RUN, "The dry run, as far as it is known."),
        **problems(Code.NOT_FOUND),
    },
)
async def show_dry_run(dry_run_id: UUID, app: App, _: Viewer, wait: Wait = 0) -> DryRunView:
    """Show a dry run, for a day after it was asked for; who is there and how fast is as of now."""
    await service.answered(app, dry_run_id, wait)
    return await run_in_threadpool(_shown, app, dry_run_id)


def _ask(app: Context, principal: Principal, spec: JobSpec, key: str | None) -> UUID:
    with app.sessions.begin() as session:
        return service.ask(session, principal, spec, key).id


def _shown(app: Context, dry_run: UUID) -> DryRunView:
    with app.sessions.begin() as session:
        return shown(session, repository.get(session, dry_run))


@router.post(
    "/dry-runs:claim",
    summary="Claim a dry run",
    response_model=DryRunClaim,
    responses={
        **example(DRY_RUN_CLAIM, "What is to be described."),
        204: {"description": "There is nothing to describe now."},
        **problems(),
    },
)
def claim_dry_run(app: App, _: PlannerOnly) -> DryRunClaim | Response:
    """Take the oldest dry run that no planner describes; it is given to another after 5 minutes."""
    with killable(app.sessions, "api.claim_dry_run") as session:
        return service.claim(session) or Response(status_code=204)


@router.put(
    "/dry-runs/{dry_run_id}/description",
    status_code=204,
    summary="Describe a dry run",
    responses=problems(Code.NOT_FOUND, Code.LENGTH_REQUIRED, Code.TOO_LARGE, Code.WRONG_CATALOGUE),
)
def describe_dry_run(
    dry_run_id: UUID,
    found: Annotated[DryRunDescription, Body(examples=[DRY_RUN_DESCRIPTION])],
    app: App,
    _: PlannerOnly,
) -> None:
    """Say what the components would be; the first answer counts."""
    with killable(app.sessions, "api.describe_dry_run") as session:
        service.describe(session, dry_run_id, found)


@router.put(
    "/dry-runs/{dry_run_id}/failure",
    status_code=204,
    summary="Report that a dry run fails",
    responses=problems(Code.NOT_FOUND),
)
def fail_dry_run(
    dry_run_id: UUID,
    reason: Annotated[DryRunFailure, Body(examples=[DRY_RUN_FAILURE])],
    app: App,
    _: PlannerOnly,
) -> None:
    """Say why the components cannot be made; the first answer counts."""
    with killable(app.sessions, "api.fail_dry_run") as session:
        service.fail(session, dry_run_id, reason)
