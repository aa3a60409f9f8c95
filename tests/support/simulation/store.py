"""The database in memory: one call between two events is one transaction, committed whole."""

from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

from shared.states import (
    ASSIGNMENT_TERMINAL,
    JOB_TERMINAL,
    ROUND_TERMINAL,
    AssignmentState,
    JobState,
    RoundState,
    may_follow,
)
from tests.support.simulation.check import Checker, ViolationError
from tests.support.simulation.rows import Assignment, Job, Round

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
NEVER = datetime(9999, 1, 1, tzinfo=UTC)
LEASE_S = 60.0


class Store:
    """Rows, the database's clock, and what is to be sent after the commit."""

    def __init__(self, checker: Checker) -> None:
        self.check = checker
        self.jobs: list[Job] = []
        self.rows: dict[UUID, Assignment] = {}
        self.open: dict[str | None, list[Assignment]] = {}  # by client, not ended
        self.now = EPOCH  # what the database's clock says: the only one that decides
        self.offset = 0.0  # how far it is wrong, in seconds
        self.n_ended = 0  # jobs
        self.touched: dict[UUID, Assignment] = {}
        self.touched_jobs: dict[UUID, Job] = {}
        self.outbox: list[tuple[str, str | None, Job]] = []  # (task, client, job)
        self._ids = count(1)
        self._leases: set[UUID] = set()  # names that attempts have had

    def tick(self, seconds: float) -> None:
        """So many seconds have really passed."""
        self.now = EPOCH + timedelta(seconds=seconds + self.offset)

    def new_id(self) -> UUID:
        """A name that nothing else has."""
        return UUID(int=next(self._ids))

    def touch(self, row: Assignment) -> None:
        """Note that a transaction changed the row."""
        self.touched[row.id] = row
        self.touched_jobs[row.job.id] = row.job

    def touch_job(self, job: Job) -> None:
        """Note that a transaction changed the job or its round."""
        self.touched_jobs[job.id] = job

    def move(self, row: Assignment, target: AssignmentState) -> None:
        """Change an assignment's state, as `server.lifecycle` does."""
        self._may(row.name, row.state, target)
        row.state = target
        if target in ASSIGNMENT_TERMINAL:
            self.open[row.client].remove(row)
            self.check.ended_lease(row)
        self.touch(row)

    def move_round(self, row: Round, target: RoundState) -> None:
        """Change a round's state."""
        self._may(f"round {row.number}", row.state, target)
        row.state = target
        if target is RoundState.AGGREGATING:
            self.check.closed(row)
        if target in ROUND_TERMINAL:
            row.job.live = None
        self.touch_job(row.job)

    def move_job(self, job: Job, target: JobState) -> None:
        """Change a job's state."""
        self._may(job.name, job.state, target)
        job.state = target
        self.n_ended += target in JOB_TERMINAL
        self.touch_job(job)

    def _may(
        self,
        name: str,
        state: AssignmentState | RoundState | JobState,
        target: AssignmentState | RoundState | JobState,
    ) -> None:
        if not may_follow(state, target):
            raise ViolationError(f"I9: {name} is {state}: it cannot become {target}")

    def ask_advance(self, job: Job) -> None:
        """Have a coordinator look at the job soon: by message, and by its timer."""
        job.due_at = self.now
        self.outbox.append(("advance", None, job))
        self.touch_job(job)

    def wake(self, row: Assignment) -> None:
        """Hint the row's worker."""
        self.outbox.append(("wake", row.client, row.job))

    def leased(self, client: str | None) -> int:
        """How many live leases a client holds; the planner may hold many."""
        if client is None:
            return 0
        return sum(row.state is AssignmentState.LEASED for row in self.open[client])

    def lease(self, row: Assignment, name: UUID | None) -> None:
        """Begin another attempt at a row that has just become leased."""
        row.attempt += 1
        row.lease_id = self.new_id() if name is None or name in self._leases else name
        self._leases.add(row.lease_id)
        row.lease_until = self.now + timedelta(seconds=LEASE_S)
        self.check.claimed(row)

    def next_job(self) -> datetime:
        """When the timer of jobs finds the next one."""
        return min(
            (job.due_at for job in self.jobs if job.state not in JOB_TERMINAL), default=NEVER
        )

    def next_row(self) -> datetime:
        """When the timer of leases and hints finds the next assignment."""
        return min((_due(row) for rows in self.open.values() for row in rows), default=NEVER)

    def settle(self) -> None:
        """Check what the transaction changed."""
        now = self.now
        for row in self.touched.values():
            self.check.assignment(row, self.leased(row.client), now)
        for job in self.touched_jobs.values():
            self.check.job(job, now)
        self.touched.clear()
        self.touched_jobs.clear()


def _due(row: Assignment) -> datetime:
    if row.state is AssignmentState.LEASED:
        return row.lease_until
    return NEVER if row.job.state is JobState.PAUSED else max(row.hint_at, row.not_before)
