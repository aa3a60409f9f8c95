"""What must hold after every event, judged from outside: it uses none of the product's decisions.

I1 to I8 are numbered as in the design of rounds.
"""

from collections import Counter
from datetime import datetime, timedelta
from uuid import UUID

from shared.messages import AssignmentKind
from shared.states import (
    ASSIGNMENT_TERMINAL,
    JOB_TERMINAL,
    AssignmentState,
    JobState,
    RoundState,
)
from tests.support.simulation.rows import Assignment, Job, Lease, Result, Round

_A = AssignmentState
_ENDING = JOB_TERMINAL | {JobState.CANCELLING}
_LONGEST_LOOK = timedelta(seconds=301)  # an aggregation's lease
_LONGEST_PAUSE = timedelta(seconds=61)
_NEEDS_ROUND = frozenset(
    {JobState.PLANNING, JobState.RUNNING, JobState.PERSONALIZING, JobState.EVALUATING}
)


class ViolationError(Exception):
    """An invariant does not hold."""


class Checker:
    """Watches one episode."""

    def __init__(self, lease_s: float) -> None:
        self.checked: Counter[str] = Counter()
        self.back = timedelta(0)  # how far the database's clock has been set back in all
        self._lease = timedelta(seconds=lease_s)
        self._living: dict[UUID, UUID] = {}  # assignment -> the lease that counts now
        self._attempts: dict[UUID, int] = {}
        self._made: dict[int, tuple[object, ...]] = {}  # artifact or state -> how it was made
        self._names: dict[tuple[object, ...], int] = {}
        self._good_states: set[int] = set()
        self._entered: Counter[int] = Counter()  # contribution -> versions that it entered

    # what stands for bytes

    def bytes_of(self, *made_from: object) -> int:
        """The number of what is made from these: the same again for the same."""
        found = self._names.setdefault(made_from, len(self._names) + 1)
        self._made[found] = made_from
        return found

    # what happens

    def require(self, name: str, holds: object, sentence: str) -> None:
        """Count the check. Raises ViolationError where it does not hold."""
        self.checked[name] += 1
        if not holds:
            raise ViolationError(f"{name}: {sentence}")

    def claimed(self, row: Assignment) -> None:
        """A new attempt was leased."""
        before = self._attempts.get(row.id, 0)
        self.require("I2", row.attempt > before, f"{row.name}: {before} -> {row.attempt}")
        self._attempts[row.id] = row.attempt
        self._living[row.id] = row.lease_id
        tries, most = row.attempt - row.released, row.job.spec.rounds.max_attempts
        self.require("bounds", tries <= most, f"{row.name} is tried {tries} times, not {most}")

    def wrote(self, row: Assignment, held: Lease | Result, what: str) -> None:
        """A worker's write was applied: it must be the last claim's."""
        living = self._living.get(row.id)
        self.require("I2", held.lease_id == living, f"{what} of {row.name} under an old lease")
        self.require("I2", held.attempt == row.attempt, f"{what} of an old attempt at {row.name}")

    def ended_lease(self, row: Assignment) -> None:
        """The lease counts no more."""
        self._living.pop(row.id, None)

    def accepted(self, row: Assignment, result: Result) -> None:
        """A result was recorded."""
        self.wrote(row, result, "result")
        open_ = row.round.state is RoundState.OPEN and row.job.state not in _ENDING
        self.require("I3", open_, f"{row.name} is accepted in a round that is {row.round.state}")
        if result.artifact is not None:
            here = result.artifact in row.uploaded
            self.require("I5", here, f"{row.name} is accepted without its bytes")
        if row.round.phase is AssignmentKind.TRAIN:
            first = row.client not in row.round.contributions
            self.require("I3", first, f"{row.name} is counted twice")
        if result.state is not None and row.client is not None:
            begun_from = self._made[result.state][-1]
            last = row.job.states.get(row.client)
            self.require("I8", begun_from == last, f"{row.name} went on from another state")
            self._good_states.add(result.state)

    def told_accepted(self, row: Assignment, result: Result) -> None:
        """A worker heard that its result is recorded."""
        here = row.state is _A.ACCEPTED and row.result == result
        self.require("I3", here, f"{row.name} is lost, and its worker heard that it is accepted")

    def closed(self, row: Round) -> None:
        """A round goes on to its version."""
        here = row.states.count(_A.ACCEPTED)
        least = row.job.spec.quorum if row.phase is AssignmentKind.TRAIN else 1
        self.require("quorum", here >= least, f"round {row.number} closes with {here} of {least}")

    def published(self, row: Round, made: int) -> None:
        """A version was set."""
        job, number = row.job, row.number
        self.require("I4", number not in job.versions, f"version {number} is made twice")
        before = job.versions.get(number - 1, 0)
        shares = tuple(sorted(row.contributions.items()))
        wanted = self.bytes_of("version", job.name, before, shares)
        self.require("I6", made == wanted, f"version {number} is of other contributions")
        accepted = {m.client: m.result for m in row.members if m.state is _A.ACCEPTED}
        same = accepted.keys() == row.contributions.keys()
        self.require("I3", same, f"round {number} is published without what it accepted")
        for artifact in row.contributions.values():
            self._entered[artifact] += 1
            self.require("I3", self._entered[artifact] == 1, "a contribution entered twice")

    def promoted(self, client: str, state: int) -> None:
        """A client made a state its current one."""
        self.require("I8", state in self._good_states, f"{client} promotes what is not accepted")

    # what stands

    def assignment(self, row: Assignment, leased: int, now: datetime) -> None:
        """A row that an event touched; `leased` counts its client's live leases."""
        self.require("I1", leased <= 1, f"{row.client} holds {leased} leases")
        last = self._attempts.get(row.id, 0)
        self.require(
            "I2", row.attempt == last, f"{row.name} is at attempt {row.attempt}, not {last}"
        )
        if row.state in ASSIGNMENT_TERMINAL:
            return
        alive = row.round.state is RoundState.OPEN and row.job.state not in JOB_TERMINAL
        self.require("I7", alive, f"{row.name} is {row.state} and outlived its round")
        soon = now + self.back
        if row.state is _A.LEASED:
            self.require("I7", row.lease_until <= soon + self._lease, f"{row.name}: long lease")
            return
        due = max(row.hint_at, row.not_before) <= soon + 2 * _LONGEST_PAUSE
        self.require("I7", due, f"{row.name} is {row.state} and is not hinted soon")

    def job(self, job: Job, now: datetime) -> None:
        """A job that an event touched, and its live round."""
        if job.state in JOB_TERMINAL:
            self.require("I7", job.live is None, f"{job.name} is {job.state} with a live round")
            return
        if job.state is not JobState.PAUSED:
            due = job.due_at <= now + self.back + _LONGEST_LOOK
            self.require("I7", due, f"{job.name} is {job.state} and is due at {job.due_at} only")
            here = job.live is not None or job.state not in _NEEDS_ROUND
            self.require("I7", here, f"{job.name} is {job.state} without a round")
        if job.live is not None:
            self._live_round(job, job.live, now)

    def _live_round(self, job: Job, row: Round, now: datetime) -> None:
        rounds = job.spec.rounds
        bounded = row.extensions <= rounds.extensions
        self.require("bounds", bounded, f"round {row.number} is extended {row.extensions} times")
        if job.state is not JobState.PAUSED:
            ends = row.deadline_at <= now + self.back + rounds.deadline
            self.require("I7", ends, f"round {row.number} ends at {row.deadline_at} only")
        numbers = [each.number for each in job.rounds if each.phase is AssignmentKind.TRAIN]
        dense = numbers == list(range(1, len(numbers) + 1))
        self.require("I4", dense, f"{job.name} has rounds {numbers}")

    def forgotten(self, row: Assignment, now: datetime) -> None:
        """With sound coordinators no lease is forgotten."""
        late = row.state is _A.LEASED and row.lease_until < now - timedelta(seconds=60)
        self.require("I7", not late, f"the lease of {row.name} ended at {row.lease_until}")

    def ended(self, job: Job) -> None:
        """An episode is over: what was accepted is in the versions, once."""
        for row in job.rounds:
            if row.phase is not AssignmentKind.TRAIN or row.state is not RoundState.PUBLISHED:
                continue
            self.require("I4", row.number in job.versions, f"version {row.number} is missing")
            for member in row.members:
                if member.state is _A.ACCEPTED and member.result is not None:
                    times = self._entered[member.result.artifact or 0]
                    self.require("I3", times == 1, f"{member.name} entered {times} versions")
        most = job.spec.rounds.failure_budget
        failed = sum(
            m.state is _A.FAILED and m.client is not None for r in job.rounds for m in r.members
        )
        kept = most is None or failed <= most or job.state in {JobState.FAILED, JobState.CANCELLED}
        self.require("bounds", kept, f"{job.name} {job.state} with {failed} failures")
