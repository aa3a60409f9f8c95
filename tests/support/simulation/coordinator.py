"""A coordinator: it advances jobs, aggregates rounds, and does what time alone brings about."""

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

from server.assignments import decide
from server.jobs import renewing
from server.jobs.publishing import PAUSE
from server.rounds import aggregating, standing
from server.rounds.aggregating import Next, Publishing
from server.rounds.collecting import Verdict
from server.settings import ServerSettings
from shared.states import (
    ASSIGNMENT_CLAIMABLE,
    JOB_TERMINAL,
    AssignmentState,
    JobState,
    RoundState,
)
from tests.support.simulation import rounds
from tests.support.simulation.process import Process
from tests.support.simulation.rows import Job, Round
from tests.support.simulation.store import Store

Steps = Generator[float, None, bool]  # yields between transactions, or while it computes

_BUSY = timedelta(seconds=5)
_SETTINGS = ServerSettings.model_fields
MOST_AGGREGATIONS: int = _SETTINGS["aggregation_attempts"].default
AGGREGATION: timedelta = _SETTINGS["aggregation_lease"].default
_MOST_COMPONENTS, _LONGEST_AVERAGE_S = 3, 60.0
LONGEST_ATTEMPT = timedelta(seconds=_MOST_COMPONENTS * _LONGEST_AVERAGE_S) + AGGREGATION + PAUSE
_LONGEST_TICK_S = 20.0
GO_ON, WAIT = True, False


class TroubleError(Exception):
    """The database is away, a commit was not answered, or a file cannot be read."""


@dataclass(frozen=True, slots=True)
class Order:
    """A round to aggregate, as it was when it was taken."""

    row: Round
    lease_id: UUID
    before: int
    contributions: tuple[tuple[str, int], ...]


class Coordinator(Process):
    """One of several."""

    def __init__(self, name: str, store: Store, rng: Random) -> None:
        super().__init__(name)
        self._store = store
        self._rng = rng
        self.disk_trouble = 0.0  # how often an aggregation fails

    def loops(self) -> list[Generator[float, None, None]]:
        """The loops that it runs."""
        return [self._jobs(), self._leases()]

    def _tick(self, due: datetime) -> float:
        """Seconds until a timer looks again: about when there is something for it."""
        until_s = (due - self._store.now).total_seconds()
        return min(max(until_s, 0.0), _LONGEST_TICK_S) + 2.0 * self._rng.random()

    def _jobs(self) -> Generator[float, None, None]:
        while True:
            try:
                yield self._tick(self._store.next_job())
                for job in self._store.jobs:
                    if job.state not in JOB_TERMINAL and job.due_at <= self._store.now:
                        job.due_at = self._store.now + _BUSY
                        yield 0.0
                        yield from self.advance(job)
            except TroubleError:
                continue

    def _leases(self) -> Generator[float, None, None]:
        while True:
            try:
                yield self._tick(self._store.next_row())
                for rows in list(self._store.open.values()):
                    for row in list(rows):
                        if row.state is AssignmentState.LEASED:
                            yield from self._suspect(row.id)
                self._hint()
            except TroubleError:
                continue

    def _suspect(self, assignment_id: UUID) -> Generator[float, None, None]:
        """Seen without a lock, and then again under it."""
        row, store = self._store.rows[assignment_id], self._store
        if decide.is_missed(row, store.now):
            yield 0.0
            if decide.is_missed(row, store.now):
                store.move(row, AssignmentState.SUSPECT)

    def _hint(self) -> None:
        now = self._store.now
        for rows in self._store.open.values():
            for row in rows:
                quiet = row.state in ASSIGNMENT_CLAIMABLE and row.job.state is not JobState.PAUSED
                if quiet and row.hint_at <= now and row.not_before <= now:
                    self._store.wake(row)
                    row.hint_at = now + decide.pause_after_hint(row.hints)
                    row.hints += 1
                    self._store.touch(row)

    def advance(self, job: Job) -> Steps:
        """Do all that can be done for the job now."""
        while True:
            step = self._step(job)
            yield 0.0
            if isinstance(step, Order):
                step = yield from self._aggregate(step)
            if step is WAIT:
                return WAIT

    def _step(self, job: Job) -> bool | Order:
        """One transaction under the job's lock."""
        store = self._store
        store.touch_job(job)
        match job.state:
            case JobState.SUBMITTED:
                rounds.begin(store, job)
                return GO_ON
            case JobState.CANCELLING:
                rounds.finish_cancelling(store, job)
                return WAIT
            case JobState.PAUSED | JobState.SUCCEEDED | JobState.CANCELLED | JobState.FAILED:
                job.due_at = store.now + standing.LOOK_AGAIN
                return WAIT
            case _:
                return self._round_step(job)

    def _round_step(self, job: Job) -> bool | Order:
        store, row = self._store, job.live
        if row is None:
            raise AssertionError(f"{job.name} is {job.state} and has no live round")
        if row.state is RoundState.AGGREGATING:
            return self._aggregating_step(row)
        failed = [
            m
            for each in job.rounds
            for m in each.members
            if m.state is AssignmentState.FAILED and m.client is not None
        ]
        if standing.over_budget(len(failed), job.spec):
            rounds.fail_job(store, job)
            return WAIT
        now, states = store.now, row.states
        if standing.reaches_quorum(row, states):
            row.quorum_at = now
        match standing.judge(row, states, job.spec, now):
            case Verdict.WAIT:
                job.due_at = standing.look_again(standing.waits_until(row, job.spec), now)
                return WAIT
            case Verdict.EXTEND:
                rounds.extend(store, row, late=standing.is_late(row, now))
                return GO_ON
            case Verdict.FAIL:
                rounds.fail_job(store, job)
                return WAIT
            case Verdict.CLOSE:
                rounds.close(store, row)
                return GO_ON

    def _aggregating_step(self, row: Round) -> bool | Order:
        store, job = self._store, row.job
        match aggregating.next_attempt(row, store.now, MOST_AGGREGATIONS):
            case Next.WAIT:
                job.due_at = standing.look_again(row.lease_until, store.now)
                return WAIT
            case Next.GIVE_UP:
                rounds.fail_job(store, job)
                return WAIT
            case Next.TAKE:
                row.lease_id = store.new_id()
                row.lease_until = job.due_at = store.now + AGGREGATION
                shares = tuple(sorted(row.contributions.items()))
                return Order(row, row.lease_id, job.versions[row.number - 1], shares)

    def _aggregate(self, order: Order) -> Steps:
        try:
            for _ in range(self._rng.randint(1, _MOST_COMPONENTS)):
                if not aggregating.holds(order.row, order.lease_id):
                    return WAIT
                yield from self._average(order, self._rng.random() * _LONGEST_AVERAGE_S)
                self._read()
            self._publish(order)
            yield 0.0
        except TroubleError:
            yield 0.0  # where the database is still away, this raises again
            self._give_back(order)
            return WAIT
        return GO_ON

    def _average(self, order: Order, seconds: float) -> Generator[float, None, None]:
        """One component, to its end, with the lease renewed beside it as long as it is held."""
        while seconds > 0.0:
            if aggregating.holds(order.row, order.lease_id):
                order.row.lease_until = self._store.now + AGGREGATION
            part = min(seconds, AGGREGATION.total_seconds() / renewing.PART)
            seconds -= part
            yield part

    def _read(self) -> None:
        """Raises TroubleError where an artifact is missing or damaged."""
        if self._rng.random() < self.disk_trouble:
            raise TroubleError

    def _publish(self, order: Order) -> None:
        row, store = order.row, self._store
        match aggregating.publishing(row.job.state, row, order.lease_id):
            case Publishing.LOST:
                return
            case Publishing.PUT_BACK:
                row.lease_id = store.new_id()
                row.lease_until = store.now
            case Publishing.PUBLISH:
                made = store.check.bytes_of(
                    "version", row.job.name, order.before, order.contributions
                )
                store.check.published(row, made)
                row.job.versions[row.number] = made
                store.move_round(row, RoundState.PUBLISHED)
                rounds.after(store, row)

    def _give_back(self, order: Order) -> None:
        row, store = order.row, self._store
        if aggregating.holds(row, order.lease_id):
            row.attempt += 1
            row.lease_until = row.job.due_at = store.now + PAUSE
            store.touch_job(row.job)
