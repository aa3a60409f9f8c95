"""Rows as the database would hold them, and what travels between processes."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from shared.job_spec import JobSpec
from shared.messages import AssignmentKind
from shared.states import AssignmentState, JobState, RoundState


class Lease(NamedTuple):
    """Which assignment is held, and under which lease."""

    assignment_id: UUID
    lease_id: UUID
    attempt: int


class Result(NamedTuple):
    """What an assignment came to; artifact and state are numbers that stand for bytes."""

    lease_id: UUID
    attempt: int
    artifact: int | None
    state: int | None


class Claim(NamedTuple):
    """What a claim is answered."""

    held: Lease
    kind: AssignmentKind
    job_id: UUID
    round: int
    version: int  # stands for its manifest; 0 for none
    state: int | None
    lease_s: float


@dataclass(slots=True, eq=False)
class Job:
    """A job, with all that hangs on it."""

    id: UUID
    name: str
    spec: JobSpec
    state: JobState
    due_at: datetime
    paused_from: JobState | None = None
    paused_at: datetime | None = None
    rounds: list["Round"] = field(default_factory=list)
    live: "Round | None" = None
    states: dict[str, int] = field(default_factory=dict)  # client -> its last accepted state
    versions: dict[int, int] = field(default_factory=dict)  # number -> what stands for it


@dataclass(slots=True, eq=False)
class Round:
    """A round of a job."""

    id: UUID
    job: Job
    phase: AssignmentKind
    number: int
    quorum: int
    target: int
    opened_at: datetime
    deadline_at: datetime
    lease_id: UUID
    lease_until: datetime
    state: RoundState = RoundState.OPEN
    quorum_at: datetime | None = None
    extensions: int = 0
    attempt: int = 0
    members: list["Assignment"] = field(default_factory=list)
    contributions: dict[str, int] = field(default_factory=dict)  # client -> artifact

    @property
    def states(self) -> list[AssignmentState]:
        """Where its assignments stand."""
        return [row.state for row in self.members]


@dataclass(slots=True, eq=False)
class Assignment:
    """An assignment of a round."""

    id: UUID
    name: str
    round: Round
    client: str | None
    lease_id: UUID
    lease_until: datetime
    not_before: datetime
    hint_at: datetime
    state: AssignmentState = AssignmentState.QUEUED
    attempt: int = 0
    released: int = 0
    hints: int = 0
    result: Result | None = None
    uploaded: set[int] = field(default_factory=set)

    @property
    def job(self) -> Job:
        """The job that it is of."""
        return self.round.job

    @property
    def held(self) -> Lease:
        """Its lease."""
        return Lease(self.id, self.lease_id, self.attempt)


class Request(NamedTuple):
    """What a worker asks the API."""

    what: str
    client: str | None
    held: Lease | None = None
    result: Result | None = None
    artifact: int | None = None
    retryable: bool = False
    lease_id: UUID | None = None


class Reply(NamedTuple):
    """What the API answers; status 0 stands for no answer at all."""

    status: int
    claim: Claim | None = None
    word: str = ""


OK, NO_CONTENT, CONFLICT, AWAY, UNHEARD = 200, 204, 409, 503, 0
