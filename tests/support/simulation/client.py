"""A worker of one client (or the planner): its disk, and what is lost with the process.

What it does one after the other is from `worker.host` and `worker.attempt`; each decision is
`worker.decisions`.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple
from uuid import UUID

from shared.messages import AssignmentKind, Instruction
from tests.support.simulation.check import Checker
from tests.support.simulation.process import Process
from tests.support.simulation.rows import AWAY, UNHEARD, Claim, Lease, Reply, Request, Result
from worker import decisions
from worker.decisions import Ending, Going, Step
from worker.journal import Stage

_POLL_S = 30.0
_TRAINS = frozenset({AssignmentKind.TRAIN, AssignmentKind.PERSONALIZE})
_UPLOADS = frozenset({AssignmentKind.TRAIN, AssignmentKind.PLAN})


class Entry(NamedTuple):
    """The journal's entry."""

    held: Lease
    job_id: UUID
    stage: Stage = Stage.CLAIMED
    starts: int = 1
    result: Result | None = None


Doing = Generator[float | Request, Reply | None, bool]
Writing = Generator[float | Request, Reply | None, Entry]


@dataclass(slots=True)
class Personal:
    """The personal states of one job on the client's disk."""

    saved: set[int] = field(default_factory=set)
    current: int | None = None


@dataclass(slots=True)
class Disk:
    """What outlives the process."""

    journal: Entry | None = None
    lease_id: UUID | None = None  # how the next claim names its lease
    artifacts: set[int] = field(default_factory=set)
    personal: dict[UUID, Personal] = field(default_factory=dict)


@dataclass(slots=True)
class Hold:
    """A held assignment while its heartbeats run."""

    claim: Claim
    done: bool = False
    withdrawn: bool = False


class WithdrawnError(Exception):
    """There is no reason to go on."""


class RefusedError(Exception):
    """The API has not done what it was asked."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(str(status))


class BrokenError(Exception):
    """The computation failed."""

    def __init__(self, *, retryable: bool) -> None:
        self.retryable = retryable
        super().__init__()


class Client(Process):
    """The process; a new one is made of the old one's disk."""

    def __init__(self, client: str | None, disk: Disk, rng: Random, check: Checker) -> None:
        super().__init__(client or "planner")
        self.client = client
        self.disk = disk
        self.stopping = False
        self.idle = False
        self.hinted = False
        self.starting: list[Doing] = []  # what is to run beside the main thread
        self.fails = 0.0
        self._rng = rng
        self._check = check

    def main(self) -> Doing:
        """Work when woken, and now and then unasked, until it is told to stop."""
        while not self.stopping:
            self.hinted = False
            while not self.stopping and (yield from self._work_once()):
                pass
            if not self.hinted and not self.stopping:
                self.idle = True
                yield _POLL_S * (0.5 + self._rng.random())
                self.idle = False
        return True

    def _ask(self, request: Request) -> Generator[float | Request, Reply | None, Reply]:
        reply = yield request
        if reply is None or not 200 <= reply.status < 300:
            raise RefusedError(0 if reply is None else reply.status)
        return reply

    def _write(self, entry: Entry | None) -> None:
        self.disk.journal = entry
        if entry is None:
            self.disk.lease_id = None

    def _work_once(self) -> Doing:
        entry = self.disk.journal
        if entry is not None and not decisions.needs_claim(entry.stage):
            return (yield from self._attempt(entry, None))
        try:
            claim = yield from self._claim(None if entry is None else entry.held)
        except RefusedError:
            return False
        begun = self._begun(entry, claim)
        if entry is not None and (begun is None or begun.held != entry.held):
            self._write(None)
            yield 0.0
        return begun is not None and (yield from self._attempt(begun, claim))

    def _claim(self, held: Lease | None) -> Generator[float | Request, Reply | None, Claim | None]:
        """Under the same name until what it was given has ended: an answer may have been lost."""
        self.disk.lease_id = self.disk.lease_id or UUID(int=self._rng.getrandbits(128))
        request = Request("claim", self.client, held, lease_id=self.disk.lease_id)
        return (yield from self._ask(request)).claim

    def _begun(self, entry: Entry | None, claim: Claim | None) -> Entry | None:
        if claim is None:
            return None
        if entry is None:
            return Entry(claim.held, claim.job_id)
        whole = entry.result is not None and self._holds(entry.job_id, entry.result)
        match decisions.going(entry.held, entry.stage, claim.held, whole=whole):
            case Going.DELIVER:
                return entry
            case Going.COMPUTE_AGAIN:
                return Entry(entry.held, entry.job_id, starts=entry.starts + 1)
            case _:
                return Entry(claim.held, claim.job_id)

    def _holds(self, job_id: UUID, result: Result) -> bool:
        state = result.state is None or result.state in self._personal(job_id).saved
        return state and (result.artifact is None or result.artifact in self.disk.artifacts)

    def _personal(self, job_id: UUID) -> Personal:
        return self.disk.personal.setdefault(job_id, Personal())

    def _attempt(self, entry: Entry, claim: Claim | None) -> Doing:
        """Whether the attempt came to an end; where not, the journal keeps it."""
        hold = None if claim is None else Hold(claim)
        try:
            return (yield from self._go_on(entry, hold))
        except WithdrawnError:
            if decisions.when_withdrawn(stopping=self.stopping) is Ending.GIVE_BACK:
                return (yield from self._say(Request("release", self.client, entry.held)))
            return self._drop()
        except RefusedError as error:
            if decisions.when_not_delivered(error.status) is not Ending.FAIL:
                return False
            return (yield from self._say(Request("failure", self.client, entry.held)))
        except BrokenError as error:
            failure = Request("failure", self.client, entry.held, retryable=error.retryable)
            return (yield from self._say(failure))
        finally:
            if hold is not None:
                hold.done = True

    def _go_on(self, entry: Entry, hold: Hold | None) -> Doing:
        self._write(entry)
        yield 0.0
        if hold is not None:
            self.starting.append(self._beat(hold))
            if decisions.next_step(entry.stage) is Step.COMPUTE:
                entry = yield from self._compute(entry, hold)
            if decisions.next_step(entry.stage) is Step.SEND:
                entry = yield from self._send(entry)
            hold.done = True
        if decisions.next_step(entry.stage) is Step.REPORT:
            entry = yield from self._report(entry)
        if decisions.next_step(entry.stage) is Step.PROMOTE:
            self._promote(entry)
            yield 0.0
            self._drop()
        return True

    def _compute(self, entry: Entry, hold: Hold) -> Writing:
        if not decisions.may_start(entry.starts):
            raise BrokenError(retryable=True)
        claim = hold.claim
        personal = self._load(claim)
        for _ in range(self._rng.randint(1, 4)):
            self._go_on_or_stop(hold)
            yield 1.0 + self._rng.random() * 30.0
        self._go_on_or_stop(hold)
        if self._rng.random() < self.fails:
            raise BrokenError(retryable=self._rng.random() < 0.7)
        entry = entry._replace(stage=Stage.TRAINED, result=self._result(claim, personal))
        yield 0.0  # files are saved before the journal says so
        self._write(entry)
        yield 0.0
        return entry

    def _go_on_or_stop(self, hold: Hold) -> None:
        if self.stopping or hold.withdrawn:
            raise WithdrawnError

    def _load(self, claim: Claim) -> Personal:
        """The state that the server knows, which must be here; it is the current one."""
        personal = self._personal(claim.job_id)
        if claim.state is None:
            return personal
        here = claim.state in personal.saved
        self._check.require("I8", here, f"{self.name} does not have the state that it delivered")
        self._make_current(personal, claim.state)
        return personal

    def _result(self, claim: Claim, personal: Personal) -> Result:
        """A pure function of the version, the round and the state before, as training is."""
        about = (self.name, claim.job_id, claim.kind, claim.round, claim.version)
        artifact = state = None
        if claim.kind in _UPLOADS:
            artifact = self._check.bytes_of("artifact", *about, claim.state)
            self.disk.artifacts.add(artifact)
        if claim.kind in _TRAINS:
            state = self._check.bytes_of("state", *about, claim.state)
            personal.saved.add(state)
        return Result(claim.held.lease_id, claim.held.attempt, artifact, state)

    def _send(self, entry: Entry) -> Writing:
        artifact = None if entry.result is None else entry.result.artifact
        if artifact is not None:
            if artifact not in self.disk.artifacts:
                raise BrokenError(retryable=False)
            upload = Request("upload", self.client, entry.held, artifact=artifact)
            yield from self._ask(upload)
        return (yield from self._note(entry, Stage.UPLOADED))

    def _report(self, entry: Entry) -> Writing:
        report = Request("result", self.client, entry.held, result=entry.result)
        yield from self._ask(report)
        return (yield from self._note(entry, Stage.ACCEPTED))

    def _note(self, entry: Entry, stage: Stage) -> Writing:
        entry = entry._replace(stage=stage)
        self._write(entry)
        yield 0.0
        return entry

    def _promote(self, entry: Entry) -> None:
        if entry.result is not None and entry.result.state is not None:
            self._make_current(self._personal(entry.job_id), entry.result.state)

    def _make_current(self, personal: Personal, state: int) -> None:
        if personal.current != state:
            self._check.promoted(self.name, state)
            personal.current = state
            personal.saved.intersection_update({state})

    def _say(self, request: Request) -> Doing:
        try:
            yield from self._ask(request)
        except RefusedError as error:
            if decisions.when_not_said(error.status) is Ending.KEEP:
                return False
        return self._drop()

    def _drop(self) -> bool:
        self._write(None)
        return True

    def _beat(self, hold: Hold) -> Doing:
        """Renew the lease in the background, measured by the process's own clock."""
        request = Request("heartbeat", self.client, hold.claim.held)
        while True:
            yield decisions.beat_after(hold.claim.lease_s)
            if hold.done:
                return True
            try:
                reply = yield from self._ask(request)
            except RefusedError as error:
                gone = decisions.is_gone(error.status)
                told = error.status not in {AWAY, UNHEARD}
                self._check.require("told", told or not gone, f"{self.name} gives up untold")
                hold.withdrawn = hold.withdrawn or gone
                continue
            if not decisions.goes_on(Instruction(reply.word)):
                hold.withdrawn = True
