"""What an assignment ended with: a result that is checked and recorded, or a failure."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func
from sqlalchemy.orm import Session

from server.aggregation import client_weights, offered_tasks
from server.assignments import decide
from server.assignments.decide import Reception
from server.assignments.repository import norms, own_locked, uploaded
from server.assignments.service import assignment_view, held_locked
from server.assignments.sound import unsound
from server.auth import Principal
from server.clients.adapting import lasting_offer
from server.database import to_json
from server.errors import ProblemError, stale_lease
from server.lifecycle import transition
from server.outbox import ask_advance, wake
from server.specs import spec_of
from server.tables import Assignment, Contribution, Job, JobClient
from shared.components import parse
from shared.messages import RETRYABLE, ClientOffer, Failure, FailureCode, HeldLease
from shared.problem_codes import Code
from shared.results import (
    AssignmentResult,
    EvaluateResult,
    PersonalizeResult,
    PlanResult,
    TrainResult,
)
from shared.states import ASSIGNMENT_HELD, AssignmentState
from shared.views import AssignmentView

_FULL_PAUSE = timedelta(seconds=30)  # which somebody has to end


def accept(
    session: Session, principal: Principal, assignment_id: UUID, result: AssignmentResult
) -> AssignmentView:
    """Record a result; the same one again answers the same. Raises ProblemError (404, 409, 422)."""
    job, row = own_locked(session, principal, assignment_id)
    data = to_json(result)
    match decide.reception(job.state, row, result, same=row.result == data):
        case Reception.REPEATED:
            return assignment_view(row)
        case Reception.STALE:
            raise stale_lease()
        case Reception.TAKE:
            _take(session, job, row, result, data)
            return assignment_view(row)


def _take(
    session: Session, job: Job, row: Assignment, result: AssignmentResult, data: dict[str, Any]
) -> None:
    _check(session, job, row, result)
    transition(session, row, AssignmentState.ACCEPTED)
    row.result = data
    row.progress = 1.0
    _record(session, job, row, result)
    ask_advance(session, job)


def _check(session: Session, job: Job, row: Assignment, result: AssignmentResult) -> None:
    if result.kind != row.kind:
        raise _wrong(
            Code.WRONG_KIND, [f"kind: is {result.kind} but the assignment asks for {row.kind}"]
        )
    if sentences := list(unsound(result)):
        raise _wrong(Code.INVALID, sentences)
    match result:
        case PlanResult():
            _check_complete(row, result)
            _check_uploads(session, row, result.components)
        case TrainResult():
            _check_uploads(session, row, result.components)
            _check_tasks(session, row, [*result.losses, *(d.task for d in result.decisions)])
        case PersonalizeResult():
            _check_tasks(session, row, result.losses)
        case EvaluateResult():
            scored = (*result.scores.values(), *result.validation.values())
            _check_tasks(session, row, {task for scores in scored for task in scores})
    if isinstance(result, PlanResult) and job.catalogue is None:
        raise _wrong(Code.NO_CATALOGUE, ["catalogue: is missing; PUT it before the result"])


def _check_complete(row: Assignment, result: PlanResult) -> None:
    missing = sorted(set(row.components) - set(result.components))
    if missing:
        raise _wrong(
            Code.INCOMPLETE, [f"components: {name} is missing; add it" for name in missing]
        )


def _check_uploads(session: Session, row: Assignment, components: dict[str, str]) -> None:
    done = uploaded(session, row.id)
    sentences = [
        f"components.{name}: {sha256} was not uploaded for this assignment; upload it first"
        for name, sha256 in components.items()
        if (name, sha256) not in done or name not in row.components
    ]
    if sentences:
        raise _wrong(Code.MISSING_UPLOAD, sentences)


def _check_tasks(session: Session, row: Assignment, tasks: Iterable[str]) -> None:
    """Only tasks that the client can do for this job have losses, decisions or scores."""
    spec = spec_of(session.get_one(Job, row.job_id))
    offered = offered_tasks(spec, _offer(session, row))
    sentences = [f"{task}: is no task of this client" for task in tasks if task not in offered]
    if sentences:
        raise _wrong(Code.UNKNOWN_TASK, sentences)


def _wrong(code: Code, sentences: list[str]) -> ProblemError:
    return ProblemError(422, code, f"Correct the result: {sentences[0]}.", sentences)


def _offer(session: Session, row: Assignment) -> ClientOffer:
    return lasting_offer(session.get_one(JobClient, (row.job_id, row.client_id)))


def _record(session: Session, job: Job, row: Assignment, result: AssignmentResult) -> None:
    if isinstance(result, TrainResult):
        _contribute(session, job, row, result)
    if isinstance(result, TrainResult | PersonalizeResult) and result.state_digest:
        personal = session.get_one(JobClient, (row.job_id, row.client_id))
        personal.state_digest = result.state_digest
    session.flush()


def _contribute(session: Session, job: Job, row: Assignment, result: TrainResult) -> None:
    """One contribution for each changed component; weights come from what lasts of the offer."""
    spec = spec_of(job)
    weights = client_weights(spec, _offer(session, row))
    moved = norms(session, row.id)
    for name, sha256 in result.components.items():
        session.add(
            Contribution(
                round_id=row.round_id,
                component=name,
                client_id=row.client_id,
                weight=weights.get(parse(name), 0),
                sha256=sha256,
                norm=moved[name, sha256],
                verdict="accepted",
            )
        )


def fail(
    session: Session,
    principal: Principal,
    assignment_id: UUID,
    failure: Failure,
    first_delay: timedelta,
) -> AssignmentView:
    """Note a failure: queued again after a pause where that may help, else the assignment failed.

    An attempt for which the worker's disk had no space does not count, like one given back.
    Raises ProblemError (404, 409).
    """
    job, row = held_locked(session, principal, assignment_id, failure)
    spec = spec_of(job)
    full = failure.code is FailureCode.NO_SPACE
    retryable, most = failure.code in RETRYABLE, spec.rounds.max_attempts
    target = decide.after_failure(row, retryable=retryable, free=full, max_attempts=most)
    transition(session, row, target, code=failure.code, reason=failure.message)
    row.released += full
    row.failure_code = failure.code
    row.failure_message = failure.message
    row.lease_id = uuid4()
    if target is AssignmentState.QUEUED:
        pause = _FULL_PAUSE if full else decide.pause_after_failure(row, first_delay)
        _offer_again(session, row, pause)
    else:
        ask_advance(session, job)
    session.flush()
    return assignment_view(row)


def release(
    session: Session, principal: Principal, assignment_id: UUID, held: HeldLease
) -> AssignmentView:
    """Queue an assignment again whose worker stops before it is done: the attempt does not count.

    Raises ProblemError (404, 409).
    """
    _, row = held_locked(session, principal, assignment_id, held)
    transition(session, row, AssignmentState.QUEUED, released=True)
    row.released += 1
    row.lease_id = uuid4()
    row.progress = 0.0
    _offer_again(session, row, timedelta(0))
    session.flush()
    return assignment_view(row)


def _offer_again(session: Session, row: Assignment, delay: timedelta) -> None:
    row.not_before = func.now() + delay
    row.hint_at = row.not_before
    row.hints = 0
    wake(session, row)


def refuse(session: Session, row: Assignment, why: str) -> None:
    """End an assignment whose uploads are wrong again and again; its job must be locked."""
    session.refresh(row, with_for_update={"key_share": True})
    if row.state not in ASSIGNMENT_HELD:
        return
    code = FailureCode.REFUSED
    transition(session, row, AssignmentState.FAILED, code=code, reason=why)
    row.failure_code = code
    row.failure_message = why
    ask_advance(session, session.get_one(Job, row.job_id))
