"""Claiming assignments, and keeping them by heartbeats."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import func
from sqlalchemy.orm import Session

from server.assignments import decide, repository
from server.assignments.decide import Claiming, Renewal
from server.auth import WORKERS, Principal
from server.clients.adapting import read_by
from server.context import Context
from server.database import glance, killable, lock_job
from server.errors import ProblemError, stale_lease
from server.jobs.service import failure_view
from server.lifecycle import transition
from server.outbox import ask_advance
from server.specs import spec_of
from server.tables import Assignment, Attempt, Job, JobClient, Round
from shared import logs
from shared.job_spec import JobSpec
from shared.messages import (
    LEASE_HEADER,
    Claim,
    Heartbeat,
    HeartbeatReply,
    HeldAssignment,
    HeldLease,
    Instruction,
    Lease,
)
from shared.states import AssignmentState
from shared.views import AssignmentView
from shared.waiting import Waiting


def claim(
    context: Context,
    principal: Principal,
    held: HeldAssignment | None = None,
    lease_id: UUID | None = None,
) -> Claim | None:
    """Lease the caller's most urgent assignment; None when there is nothing to do.

    The attempt that the caller still holds comes first, then the one that a claim under the same
    `lease_id` was given already.
    """
    if held is not None:
        with killable(context.sessions, "api.take_over") as session:
            taken_over = _take_over(session, principal, held, context.settings.lease)
        if taken_over is not None:
            return taken_over
    with glance(context.sessions) as session:
        candidates = repository.claimable(session, principal, lease_id)
    for job_id, assignment_id in candidates:
        with killable(context.sessions, "api.claim") as session:
            wish = _Wish(principal, context.settings.lease, lease_id)
            claimed = _claim_one(session, wish, job_id, assignment_id)
        if claimed is not None:
            return claimed
    return None


def nothing_to_claim(session: Session, principal: Principal, headers: Mapping[str, str]) -> bool:
    """Whether the caller may claim and would be given nothing."""
    if principal.scope not in WORKERS:
        return False
    try:
        given = headers.get(LEASE_HEADER)
        lease_id = UUID(given) if given else None
    except ValueError:  # the route says what is wrong
        return False
    return not repository.claimable(session, principal, lease_id)


def _take_over(
    session: Session, principal: Principal, held: HeldAssignment, lease: timedelta
) -> Claim | None:
    """The same attempt for a worker that was interrupted; None when it is no longer its own."""
    try:
        job, row = repository.own_locked(session, principal, held.assignment_id)
    except ProblemError:
        return None
    if _renew(session, job, row, held, lease) is Renewal.NO:
        return None
    return _claim_message(session, job, row, spec_of(job), lease)


def _renew(
    session: Session, job: Job, row: Assignment, held: HeldLease, lease: timedelta
) -> Renewal:
    """Extend the locked assignment's lease, if it is current and the client has no other."""
    busy = row.state is AssignmentState.SUSPECT and repository.holds_lease(session, row.client_id)
    renewal = decide.renewal(job.state, row, held, busy=busy)
    if renewal is Renewal.RESUME:
        transition(session, row, AssignmentState.LEASED, resumed=True)
    if renewal is not Renewal.NO:
        row.lease_until = func.now() + lease
    return renewal


@dataclass(frozen=True, slots=True)
class _Wish:
    """Who claims, and what the lease is to be."""

    principal: Principal
    lease: timedelta
    lease_id: UUID | None


def _claim_one(session: Session, wish: _Wish, job_id: UUID, assignment_id: UUID) -> Claim | None:
    job = lock_job(session, job_id)
    repository.lock_client(session, wish.principal)
    free = repository.lock_free(session, assignment_id)
    if job is None or free is None:
        return None
    row, now = free
    spec = spec_of(job)
    busy = repository.holds_lease(session, wish.principal.client)
    most = spec.rounds.max_attempts
    match decide.claiming(job.state, row, now, wish.lease_id, busy=busy, max_attempts=most):
        case Claiming.NOTHING:
            return None
        case Claiming.EXHAUST:
            _exhausted(session, job, row)
            return None
        case Claiming.LEASE:
            transition(session, row, AssignmentState.LEASED, attempt=row.attempt + 1)
            _lease(session, row, wish)
            return _claim_message(session, job, row, spec, wish.lease)
        case Claiming.AGAIN:
            if row.state is AssignmentState.SUSPECT:
                transition(session, row, AssignmentState.LEASED, resumed=True)
            row.lease_until = func.now() + wish.lease
            return _claim_message(session, job, row, spec, wish.lease)


def _exhausted(session: Session, job: Job, row: Assignment) -> None:
    transition(session, row, AssignmentState.FAILED, code="attempts_exhausted")
    row.failure_code = "attempts_exhausted"
    row.failure_message = (
        f"{decide.tries(row)} attempts ended without a result: look at the worker's log"
    )
    ask_advance(session, job)


def _lease(session: Session, row: Assignment, wish: _Wish) -> None:
    row.attempt += 1
    row.lease_id = repository.unused(session, wish.lease_id) or uuid4()
    row.lease_until = func.now() + wish.lease
    row.progress = 0.0
    row.failure_code = row.failure_message = None  # of the attempt before; its event remains
    session.add(Attempt(assignment_id=row.id, attempt=row.attempt, lease_id=row.lease_id))
    session.flush()


def _claim_message(
    session: Session, job: Job, row: Assignment, spec: JobSpec, lease: timedelta
) -> Claim:
    personal = session.get(JobClient, (job.id, row.client_id)) if row.client_id else None
    manifest = repository.manifest(session, row)
    number = session.get_one(Round, row.round_id).number
    logs.note(job=job.id, round=number, assignment=row.id, attempt=row.attempt)
    return Claim(
        assignment_id=row.id,
        kind=row.kind,
        job_id=job.id,
        spec=spec,
        lease=Lease(id=row.lease_id, attempt=row.attempt, seconds=lease.total_seconds()),
        round=number,
        components=tuple(row.components),
        tasks=read_by(spec, personal) if personal else {},
        version=row.version,
        manifest={name: sha256 for name, (sha256, _) in manifest.items()},
        sizes={name: n_bytes for name, (_, n_bytes) in manifest.items()},
        base_digest=job.base_digest,
        state_digest=personal.state_digest if personal else None,
        parent_job_id=job.forked_from,
    )


def held_locked(
    session: Session, principal: Principal, assignment_id: UUID, held: HeldLease
) -> tuple[Job, Assignment]:
    """The caller's assignment under a current lease, locked. Raises ProblemError (404, 409)."""
    job, row = repository.own_locked(session, principal, assignment_id)
    if not decide.may_speak(job.state, row, held):
        raise stale_lease()
    return job, row


def heartbeat(
    session: Session, principal: Principal, assignment_id: UUID, beat: Heartbeat, lease: timedelta
) -> HeartbeatReply:
    """Renew the lease, or say why not. Raises ProblemError (404)."""
    job, row = repository.own_locked(session, principal, assignment_id)
    instruction = decide.instruction(job.state, row, _renew(session, job, row, beat, lease))
    if instruction is not Instruction.CONTINUE:
        return HeartbeatReply(instruction=instruction, lease_seconds=0)
    row.progress = beat.progress
    return HeartbeatReply(instruction=instruction, lease_seconds=lease.total_seconds())


def assignment_view(row: Assignment, waiting: Waiting | None = None) -> AssignmentView:
    """The assignment as operators and its own worker read it."""
    result = row.result or {}
    return AssignmentView.model_validate(
        {
            "id": row.id,
            "client": row.client_id,
            "kind": row.kind,
            "state": row.state,
            "attempt": row.attempt,
            "progress": row.progress,
            "losses": result.get("losses", {}),
            "decisions": result.get("decisions", ()),
            "traffic": result.get("traffic"),
            "samples_at_once": result.get("samples_at_once"),
            "failure": failure_view(row.failure_code, row.failure_message),
            "waiting": waiting,
        }
    )
