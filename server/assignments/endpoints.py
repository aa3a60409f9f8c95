"""Routes of workers about their assignments."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Header, Query, Response

from server.assignments import results, service
from server.auth import PlannerOnly, Worker
from server.context import App
from server.database import killable
from server.documentation import example, problems
from server.examples import (
    ASSIGNMENT,
    CATALOGUE,
    CLAIM,
    CLAIM_REQUEST,
    FAILED_ASSIGNMENT,
    FAILURE,
    HEARTBEAT,
    HEARTBEAT_REPLY,
    HELD,
    RELEASED_ASSIGNMENT,
    RESULT,
)
from server.updates.catalogue import put_catalogue
from shared import tracing
from shared.messages import (
    LEASE_HEADER,
    Catalogue,
    Claim,
    ClaimRequest,
    Failure,
    Heartbeat,
    HeartbeatReply,
    HeldLease,
)
from shared.problem_codes import Code
from shared.results import AssignmentResult
from shared.views import AssignmentView

router = APIRouter(prefix="/v1", tags=["assignments"])
_OF_RESULTS = (
    Code.STALE_LEASE,
    Code.WRONG_KIND,
    Code.INCOMPLETE,
    Code.MISSING_UPLOAD,
    Code.UNKNOWN_TASK,
)


@router.post(
    "/assignments:claim",
    summary="Claim an assignment",
    response_model=Claim,
    responses={
        **example(CLAIM, "One assignment, leased to the caller."),
        204: {"description": "There is nothing to do now."},
        **problems(),
    },
)
def claim(
    app: App,
    principal: Worker,
    response: Response,
    request: Annotated[
        ClaimRequest | None,
        Body(
            description="What the worker still has in hand, if anything.", examples=[CLAIM_REQUEST]
        ),
    ] = None,
    lease_id: Annotated[
        UUID | None,
        Header(
            alias=LEASE_HEADER,
            description="A new name for the lease. A claim whose answer was lost is sent again "
            "under the same name, and answered as before.",
        ),
    ] = None,
) -> Claim | Response:
    """Lease the caller's most urgent assignment, with all that it takes to do it.

    A worker that was interrupted shows the lease that it held. If that is still the current one,
    it is renewed and the answer is the same attempt again; if not, this is a claim like any other.
    """
    held = None if request is None else request.held
    response.headers.update(tracing.headers())
    return service.claim(app, principal, held, lease_id) or Response(status_code=204)


@router.post(
    "/assignments/{assignment_id}/heartbeat",
    summary="Renew a lease",
    responses={**example(HEARTBEAT_REPLY, "What to do now."), **problems(Code.NOT_FOUND)},
)
def heartbeat(
    assignment_id: UUID,
    beat: Annotated[Heartbeat, Body(examples=[HEARTBEAT])],
    app: App,
    principal: Worker,
) -> HeartbeatReply:
    """Say that the worker lives, renew its lease, and learn whether to go on."""
    with killable(app.sessions, "api.heartbeat") as session:
        return service.heartbeat(session, principal, assignment_id, beat, app.settings.lease)


@router.post(
    "/assignments/{assignment_id}/result",
    summary="Report a result",
    responses={
        **example(ASSIGNMENT, "The result is accepted."),
        **problems(Code.NOT_FOUND, *_OF_RESULTS),
    },
)
def result(
    assignment_id: UUID,
    outcome: Annotated[AssignmentResult, Body(examples=[RESULT])],
    app: App,
    principal: Worker,
) -> AssignmentView:
    """Report what came out; the uploads that it names must be complete.

    Times are at most 10^9 seconds, counts at most 2^53.
    """
    with killable(app.sessions, "api.result") as session:
        return results.accept(session, principal, assignment_id, outcome)


@router.post(
    "/assignments/{assignment_id}/failure",
    summary="Report a failure",
    responses={
        **example(FAILED_ASSIGNMENT, "The failure is noted; the state says whether to try again."),
        **problems(Code.NOT_FOUND, Code.STALE_LEASE),
    },
)
def failure(
    assignment_id: UUID,
    reason: Annotated[Failure, Body(examples=[FAILURE])],
    app: App,
    principal: Worker,
) -> AssignmentView:
    """Report that the assignment could not be done, and why."""
    with killable(app.sessions, "api.failure") as session:
        return results.fail(session, principal, assignment_id, reason, app.settings.retry_delay)


@router.post(
    "/assignments/{assignment_id}/release",
    summary="Give an assignment back",
    responses={
        **example(RELEASED_ASSIGNMENT, "It waits to be claimed again."),
        **problems(Code.NOT_FOUND, Code.STALE_LEASE),
    },
)
def release(
    assignment_id: UUID,
    lease: Annotated[HeldLease, Body(examples=[HELD])],
    app: App,
    principal: Worker,
) -> AssignmentView:
    """Give an assignment back undone, as a worker does that stops: the attempt does not count."""
    with killable(app.sessions, "api.release") as session:
        return results.release(session, principal, assignment_id, lease)


@router.put(
    "/assignments/{assignment_id}/catalogue",
    status_code=204,
    summary="Describe the components",
    responses=problems(
        Code.NOT_FOUND,
        Code.STALE_LEASE,
        Code.WRONG_CATALOGUE,
    ),
)
def catalogue(
    assignment_id: UUID,
    held: Annotated[HeldLease, Query()],
    content: Annotated[Catalogue, Body(examples=[CATALOGUE])],
    app: App,
    principal: PlannerOnly,
) -> None:
    """Say what each component of the job is: the server refuses uploads of anything else."""
    with killable(app.sessions, "api.catalogue") as session:
        put_catalogue(session, principal, assignment_id, held, content)
