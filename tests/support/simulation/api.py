"""The API: each request is one or several transactions, with anything in between."""

from collections.abc import Generator
from datetime import timedelta
from random import Random
from uuid import UUID

from server.assignments import decide
from server.assignments.decide import Claiming, Reception, Renewal
from shared.messages import AssignmentKind, Instruction
from shared.states import AssignmentState
from tests.support.simulation.rows import (
    CONFLICT,
    NO_CONTENT,
    OK,
    Assignment,
    Claim,
    Lease,
    Reply,
    Request,
    Result,
)
from tests.support.simulation.store import LEASE_S, Store

Answer = Generator[float, None, Reply]  # yields between transactions

_RETRY = timedelta(seconds=2)
_STALE = Reply(CONFLICT)


def answer(store: Store, rng: Random, request: Request) -> Answer:
    """The transactions of a request."""
    match request:
        case Request("claim"):
            return (yield from _claim(store, rng, request))
        case Request("upload", held=Lease() as held, artifact=int(artifact)):
            return (yield from _upload(store, held, artifact))
        case Request("heartbeat", held=Lease() as held):
            return _heartbeat(store, held)
        case Request("result", held=Lease() as held, result=Result() as result):
            return _result(store, store.rows[held.assignment_id], result)
        case Request("failure", held=Lease() as held):
            return _failure(store, held, retryable=request.retryable)
        case Request("release", held=Lease() as held):
            return _release(store, held)
        case _:
            raise AssertionError(request)


def _claim(store: Store, rng: Random, request: Request) -> Answer:
    if request.held is not None:
        row = store.rows[request.held.assignment_id]
        if _renew(store, row, request.held, "takeover") is not Renewal.NO:
            return Reply(OK, _message(row))
        yield 0.0
    candidates = list(store.open.get(request.client, ()))
    rng.shuffle(candidates)  # no invariant may hang on the order in which the database offers them
    for row in candidates:
        yield 0.0
        if _claim_one(store, row, request.lease_id):
            return Reply(OK, _message(row))
    return Reply(NO_CONTENT)


def _claim_one(store: Store, row: Assignment, lease_id: UUID | None) -> bool:
    busy = store.leased(row.client) > 0
    most = row.job.spec.rounds.max_attempts
    match decide.claiming(row.job.state, row, store.now, lease_id, busy=busy, max_attempts=most):
        case Claiming.NOTHING:
            return False
        case Claiming.EXHAUST:
            store.move(row, AssignmentState.FAILED)
            store.ask_advance(row.job)
            return False
        case Claiming.LEASE:
            store.move(row, AssignmentState.LEASED)
            store.lease(row, lease_id)
            return True
        case Claiming.AGAIN:
            store.check.wrote(row, row.held, "claim")
            if row.state is AssignmentState.SUSPECT:
                store.move(row, AssignmentState.LEASED)
            row.lease_until = store.now + timedelta(seconds=LEASE_S)
            store.touch(row)
            return True


def _renew(store: Store, row: Assignment, held: Lease, what: str) -> Renewal:
    busy = row.state is AssignmentState.SUSPECT and store.leased(row.client) > 0
    renewal = decide.renewal(row.job.state, row, held, busy=busy)
    if renewal is Renewal.RESUME:
        store.move(row, AssignmentState.LEASED)
    if renewal is not Renewal.NO:
        store.check.wrote(row, held, what)
        row.lease_until = store.now + timedelta(seconds=LEASE_S)
        store.touch(row)
    return renewal


def _message(row: Assignment) -> Claim:
    kind, job, number = row.round.phase, row.job, row.round.number
    base = number - 1 if kind is AssignmentKind.TRAIN else number
    state = job.states.get(row.client) if row.client else None
    return Claim(row.held, kind, job.id, number, job.versions.get(base, 0), state, LEASE_S)


def _heartbeat(store: Store, held: Lease) -> Reply:
    row = store.rows[held.assignment_id]
    renewed = _renew(store, row, held, "heartbeat")
    word: Instruction = decide.instruction(row.job.state, row, renewed)
    return Reply(OK, word=word)


def _upload(store: Store, held: Lease, artifact: int) -> Answer:
    row = store.rows[held.assignment_id]
    if not decide.may_speak(row.job.state, row, held):
        return _STALE
    yield 0.0
    if not decide.may_write(row, held.attempt):
        return _STALE
    yield 0.0
    row.uploaded.add(artifact)  # bytes that came too late are recorded, and never used
    return Reply(OK)


def _result(store: Store, row: Assignment, result: Result) -> Reply:
    job = row.job
    match decide.reception(job.state, row, result, same=row.result == result):
        case Reception.REPEATED:
            return Reply(OK)
        case Reception.STALE:
            return _STALE
        case Reception.TAKE:
            store.check.accepted(row, result)
            store.move(row, AssignmentState.ACCEPTED)
            row.result = result
            _record(row, result)
            store.ask_advance(job)
            return Reply(OK)


def _record(row: Assignment, result: Result) -> None:
    if row.client is None:
        return
    if row.round.phase is AssignmentKind.TRAIN and result.artifact is not None:
        row.round.contributions[row.client] = result.artifact
    if result.state is not None:
        row.job.states[row.client] = result.state


def _failure(store: Store, held: Lease, *, retryable: bool) -> Reply:
    row = store.rows[held.assignment_id]
    if not decide.may_speak(row.job.state, row, held):
        return _STALE
    store.check.wrote(row, held, "failure")
    most = row.job.spec.rounds.max_attempts
    target = decide.after_failure(row, retryable=retryable, free=False, max_attempts=most)
    store.move(row, target)
    row.lease_id = store.new_id()
    store.check.ended_lease(row)
    if target is AssignmentState.QUEUED:
        _offer_again(store, row, decide.pause_after_failure(row, _RETRY))
    else:
        store.ask_advance(row.job)
    return Reply(OK)


def _release(store: Store, held: Lease) -> Reply:
    row = store.rows[held.assignment_id]
    if not decide.may_speak(row.job.state, row, held):
        return _STALE
    store.check.wrote(row, held, "release")
    store.move(row, AssignmentState.QUEUED)
    row.released += 1
    row.lease_id = store.new_id()
    store.check.ended_lease(row)
    _offer_again(store, row, timedelta(0))
    return Reply(OK)


def _offer_again(store: Store, row: Assignment, delay: timedelta) -> None:
    row.not_before = row.hint_at = store.now + delay
    row.hints = 0
    store.wake(row)
