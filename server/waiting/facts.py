"""The plain values from which it is decided why something waits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from server.rounds.collecting import Terms
from shared.messages import AssignmentKind
from shared.states import AssignmentState, JobState, RoundState


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What of a job decides."""

    state: JobState
    created_at: datetime
    updated_at: datetime
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Busy:
    """What a client works on elsewhere."""

    job: str
    lease_until: datetime


@dataclass(frozen=True, slots=True)
class AssignmentFacts:
    """What of an assignment decides; `busy` is the lease that its client holds elsewhere."""

    client: str | None
    kind: AssignmentKind
    state: AssignmentState
    attempt: int
    progress: float
    not_before: datetime
    hints: int
    hint_at: datetime
    lease_until: datetime
    claimed_at: datetime | None
    seen_at: datetime | None
    failure: str | None
    busy: Busy | None

    @property
    def owner(self) -> str:
        """Who does the assignment."""
        return self.client or "planner"

    @property
    def who(self) -> str:
        """Who does it, at the beginning of a sentence."""
        return self.client or "The planner"


@dataclass(frozen=True, slots=True)
class AggregationFailure:
    """Why the last attempt at aggregating ended, where it failed and no other has begun."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class RoundFacts:
    """What of a live round decides.

    `read_only` says that an fsync of this very process has failed: the store's other processes
    know of their own only.
    """

    number: int
    phase: AssignmentKind
    state: RoundState
    terms: Terms
    opened_at: datetime
    deadline_at: datetime
    waits_until: datetime  # the deadline, or the end of the grace
    attempt: int
    most_attempts: int
    lease_until: datetime
    aggregating_since: datetime | None
    failure: AggregationFailure | None
    read_only: bool
    members: Sequence[AssignmentFacts]

    @property
    def here(self) -> int:
        """How many results have been accepted."""
        return sum(m.state is AssignmentState.ACCEPTED for m in self.members)

    @property
    def name(self) -> str:
        """The round in words."""
        return f"round {self.number} ({self.phase})"
