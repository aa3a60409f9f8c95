"""What a job would do, said before anything trains: asked by operators, described by a planner."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field, NonNegativeFloat, NonNegativeInt

from shared.components import Modality
from shared.job_spec import JobSpec
from shared.messages import Catalogue, ComponentName, FailureCode, Message, Sentence
from shared.spec import Name, Sha256
from shared.views import ForkOrigin
from shared.waiting import Waiting


class DryRunClaim(Message):
    """Asks a planner what the components of a job would be; nothing of it is kept."""

    id: UUID
    spec: JobSpec
    components: Annotated[tuple[ComponentName, ...], Field(min_length=1)]


class DryRunDescription(Message):
    """What a planner found: the catalogue, and how each component would begin."""

    catalogue: Catalogue
    version: dict[ComponentName, Sha256] = Field(
        description="What version 0 would be: components of the same bytes travel once."
    )


class DryRunFailure(Message):
    """Why a planner cannot make the components."""

    code: FailureCode
    message: Sentence


class Verdict(StrEnum):
    """Whether the job could run."""

    CAN_RUN = "can_run"
    CANNOT_RUN = "cannot_run"
    UNKNOWN = "unknown"  # no planner has described the components yet


class ReasonView(Message):
    """Why the job could not run."""

    code: str = Field(description="As submitting it would be refused, or the planner's failure.")
    sentence: str


class Size(Message):
    """How large trainable components are, and what they stand on."""

    n_values: int = Field(description="Trainable values.")
    n_bytes: int = Field(description="Of the components' files, as they travel.")
    frozen_bytes: int = Field(
        description="Frozen weights that the components stand on; what several of them share "
        "counts for each. They never travel."
    )


class TaskShare(Message):
    """What one client has for a task."""

    train: int = Field(description="Training samples.")
    domains: dict[Name, int] = Field(description="Training samples by domain.")
    validation: int
    test: int
    modalities: tuple[Modality, ...] = Field(description="What it would read.")
    lacking: tuple[Modality, ...] = Field(default=(), description="What the task reads beyond it.")
    per_class: tuple[int, ...] | None = Field(
        default=None,
        description="Training samples of each class, in the order of the task's classes; absent "
        "where the client publishes no card or the task has no classes.",
    )


class TaskCoverage(Message):
    """Who would do a task."""

    clients: dict[Name, TaskShare]
    train: int = Field(description="Training samples of all of them.")


class ComponentPlan(Message):
    """Who would make a component, and how large it is."""

    contributors: dict[Name, int] = Field(
        description="The weight of each client in its average; empty where it stays with clients "
        "or no round is to come."
    )
    size: Size | None = Field(default=None, description="Absent until a planner has described it.")


class ClientTraffic(Message):
    """Bytes that one client moves, with an artifact cache of its own."""

    first_down: int = Field(description="In the first round that it takes part in.")
    later_down: int = Field(description="In each other: at most what others have changed.")
    up: int = Field(description="In each.")
    full_exchange: int = Field(description="What full state dicts, down and up, would cost.")


Seconds = Annotated[
    NonNegativeFloat | None, Field(description="Absent where nothing was measured that tells it.")
]


class ClientTime(Message):
    """How long one client would work, by what it took for such work before."""

    round_s: Seconds = None
    stage_two_s: Seconds = None
    evaluation_s: Seconds = None
    stands_on: str = Field(description="The measurements, or what is lacking, in one sentence.")


class ClientPlan(Message):
    """What one client would do."""

    seen_at: datetime | None = Field(description="When a worker last spoke for it.")
    tasks: tuple[Name, ...]
    components: tuple[ComponentName, ...]
    size: Size | None = None
    traffic: ClientTraffic | None = None
    time: ClientTime | None = None


class Span(Message):
    """How long something lasts: with all clients at once, and with one after the other.

    A worker serves its clients one after the other; which share a worker is not known.
    """

    least_s: NonNegativeFloat
    most_s: NonNegativeFloat


class RoundPlan(Message):
    """A training round; where not all clients are asked, a mean over who might be."""

    asked: int = Field(description="Clients that are asked.")
    bytes_down_first: int = Field(description="Where all of them take part for the first time.")
    bytes_down: int = Field(description="Where none does.")
    bytes_up: int
    bytes_full_exchange: int
    time: Span | None = Field(default=None, description="Absent where a client's is not known.")


class JobPlan(Message):
    """All rounds, and the final version for all clients."""

    rounds: NonNegativeInt = Field(description="All; of a fork those that would follow.")
    bytes_down: int
    bytes_up: int
    bytes_full_exchange: int
    time: Span | None = Field(
        default=None, description="With stage two and evaluation; absent where one is not known."
    )


class DryRunView(Message):
    """What a job or a fork would need and cost. Only this is stored of it, and for a day."""

    id: UUID
    created_at: datetime
    forked_from: ForkOrigin | None = Field(
        default=None, description="What the fork would begin with; absent for a job of its own."
    )
    verdict: Verdict
    complete: bool = Field(description="Whether nothing more will come: ask again where not.")
    reasons: tuple[ReasonView, ...] = Field(default=(), description="All that stands against it.")
    warnings: tuple[str, ...] = Field(default=(), description="What to know before submitting it.")
    waiting: Waiting | None = Field(default=None, description="Absent once it is complete.")
    base_digest: Sha256 | None = None
    tasks: dict[Name, TaskCoverage] = Field(default_factory=dict)
    components: dict[ComponentName, ComponentPlan] = Field(default_factory=dict)
    clients: dict[Name, ClientPlan] = Field(default_factory=dict)
    version: Size | None = Field(default=None, description="Of a whole version.")
    round: RoundPlan | None = Field(default=None, description="Absent where none is to come.")
    job: JobPlan | None = None
