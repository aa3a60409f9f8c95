"""What the reference remembers of each row: small values, no database."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from server.aggregation import client_components
from server.clients.lasting import lasting
from shared.attendance import OfferChange
from shared.job_spec import JobSpec
from shared.messages import AssignmentKind, ClientOffer
from shared.states import ASSIGNMENT_ACTIVE, AssignmentState, JobState, RoundState

Files = dict[str, tuple[str, int]]  # component -> (sha256, bytes)


@dataclass(eq=False)
class Upload:
    """A stream on its way in."""

    id: str
    attempt: int
    digest: str  # of what was announced
    files: Files  # less what had arrived already
    received: bytes = b""
    complete: bool = False
    refusals: int = 0

    @property
    def n_bytes(self) -> int:
        """Bytes of the whole stream."""
        return sum(size for _, size in self.files.values())


@dataclass(eq=False)
class Work:
    """An assignment."""

    id: str
    job: "Job"
    round: "Round"
    client: str | None
    kind: AssignmentKind
    components: tuple[str, ...]
    created_at: datetime
    since: datetime  # when it came to its state
    state: AssignmentState = AssignmentState.QUEUED
    attempt: int = 0
    released: int = 0
    lease_id: str = ""
    lease_until: datetime | None = None
    not_before: datetime | None = None
    sent: list[dict[str, Any]] = field(default_factory=list)  # results, whatever was answered
    result: dict[str, Any] | None = None
    offer: ClientOffer | None = None  # what its client had when it was accepted
    arrived: set[tuple[str, str]] = field(default_factory=set)
    uploads: dict[str, Upload] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Whether it may still be accepted."""
        return self.state in ASSIGNMENT_ACTIVE

    @property
    def tries(self) -> int:
        """Attempts that count."""
        return self.attempt - self.released

    @property
    def exhausted(self) -> bool:
        """Whether it may not be tried again."""
        return self.tries >= self.job.spec.rounds.max_attempts

    @property
    def uploads_nothing(self) -> bool:
        """Whether it has nothing to upload."""
        local = self.job.spec.algorithm.name == "local"
        trains = self.kind is AssignmentKind.TRAIN
        return not (self.kind is AssignmentKind.PLAN or (trains and not local))


@dataclass(eq=False)
class Round:
    """A round; `closed_with` counts those who were still awaited when it closed."""

    job: "Job"
    id: str
    phase: AssignmentKind
    number: int
    quorum: int
    target: int
    deadline: datetime
    state: RoundState = RoundState.OPEN
    extensions: int = 0
    quorum_at: datetime | None = None
    members: list[Work] = field(default_factory=list)

    def count(self, state: AssignmentState) -> int:
        """Members in that state."""
        return sum(member.state is state for member in self.members)

    @property
    def accepted(self) -> int:
        """Members whose result counts."""
        return self.count(AssignmentState.ACCEPTED)

    def over(self, now: datetime) -> bool:
        """Whether a round that has its quorum waits no longer for the others."""
        grace: timedelta | None = self.job.spec.rounds.grace
        if self.phase is not AssignmentKind.TRAIN or grace is None:
            return self.deadline <= now
        # a quorum that is noticed only now waits from now on
        return min(self.deadline, (self.quorum_at or now) + grace) <= now

    def may_close(self, now: datetime, awaited: int) -> bool:
        """Whether it has enough; `awaited` members might still deliver."""
        enough = self.accepted >= self.quorum and (awaited == 0 or self.over(now))
        return self.accepted >= self.target or enough

    @property
    def spare(self) -> int:
        """Clients of the job that were not asked."""
        training = self.phase is AssignmentKind.TRAIN
        return len(self.job.spec.clients) - len(self.members) if training else 0

    @property
    def can_extend(self) -> bool:
        """Whether it may have another deadline."""
        return self.extensions < self.job.spec.rounds.extensions

    def lacks(self, now: datetime, awaited: int) -> bool:
        """Whether it misses its quorum, by time or by failures."""
        unreachable = self.accepted + awaited < self.quorum
        return self.accepted < self.quorum and (unreachable or self.deadline <= now)

    def hopeless(self, awaited: int) -> bool:
        """Whether nothing can give it its quorum."""
        return self.accepted + awaited + self.spare < self.quorum


@dataclass(eq=False)
class Job:
    """A job, and what its clients had when it was submitted."""

    id: str
    spec: JobSpec
    offers: dict[str, ClientOffer]
    created_at: datetime
    since: datetime  # when it came to its state
    parent: "Job | None" = None
    begins: int = 0
    state: JobState = JobState.SUBMITTED
    paused_from: JobState | None = None
    paused_at: datetime | None = None
    catalogue: dict[str, Any] | None = None
    rounds: list[Round] = field(default_factory=list)
    versions: dict[int, dict[str, str]] = field(default_factory=dict)
    changes: dict[str, list[OfferChange]] = field(default_factory=dict)  # of clients' offers
    personal: dict[str, str] = field(default_factory=dict)  # client -> digest of its last state
    inherited: dict[str, str] = field(default_factory=dict)

    def lasting(self, client: str) -> ClientOffer:
        """What a client still has of its offer."""
        return lasting(self.offers[client], self.changes.get(client, ()))

    def wanted(self, client: str | None) -> tuple[str, ...]:
        """The components of a client, or of all for the planner."""
        offers = [self.lasting(client)] if client else list(self.offers.values())
        names = {str(c) for offer in offers for c in client_components(self.spec, offer)}
        return tuple(sorted(names))

    @property
    def live(self) -> Round | None:
        """The round that is not closed."""
        last = self.rounds[-1] if self.rounds else None
        alive = last and last.state in {RoundState.OPEN, RoundState.AGGREGATING}
        return last if alive else None

    @property
    def ended(self) -> bool:
        """Whether it is at its end, or about to be."""
        return self.state in {
            JobState.SUCCEEDED,
            JobState.FAILED,
            JobState.CANCELLED,
            JobState.CANCELLING,
        }

    @property
    def works(self) -> bool:
        """Whether its assignments can be claimed."""
        return not self.ended and self.state is not JobState.PAUSED

    @property
    def failures(self) -> int:
        """Clients' assignments that failed."""
        every = (work for row in self.rounds for work in row.members)
        return sum(w.client is not None and w.state is AssignmentState.FAILED for w in every)

    @property
    def over_budget(self) -> bool:
        """Whether more failed than it bears."""
        budget = self.spec.rounds.failure_budget
        return budget is not None and self.failures > budget
