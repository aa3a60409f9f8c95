"""What operators read: jobs, rounds, versions, reports, clients, problems. JSON on the wire."""

from datetime import datetime, timedelta
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from shared.job_spec import JobSpec
from shared.messages import AssignmentKind, ClientOffer, ComponentName, Message
from shared.results import Decision, SamplesAtOnce, TaskLosses, Traffic
from shared.spec import Name, Sha256
from shared.states import AssignmentState, JobState, RoundState
from shared.waiting import Waiting

LastEvent = Annotated[
    int,
    Field(description="An event of the job that the answer knows of; `after` it is what is new."),
]


Next = Annotated[str | None, Field(description="Pass it as `cursor` for more; absent at the end.")]
JobOrder = Literal["-created_at", "created_at", "-updated_at", "updated_at", "name", "-name"]
ClientOrder = Literal["id", "-id", "created_at", "-created_at", "seen_at", "-seen_at"]
NumberOrder = Literal["number", "-number"]
EventOrder = Literal["id", "-id"]
RoundOrder = Literal["round", "-round"]
ALIVE = timedelta(seconds=60)  # a client is there for so long after a worker spoke for it


class Problem(Message):
    """RFC 9457 problem details with a stable code; `detail` says what to do about it."""

    type: str = Field(examples=["urn:tapestry:problem:unknown_client"])
    title: str
    status: int
    code: str
    detail: str
    errors: tuple[str, ...] = Field(default=(), description="One sentence for each wrong field.")


class FailureView(Message):
    """Why a job, round or assignment failed."""

    code: str
    message: str


class ForkOrigin(Message):
    """Where a fork comes from: its versions up to that round are those of the job."""

    job: UUID = Field(description="The job that it was forked from: its parent.")
    round: int = Field(description="The parent's version that it began with.")
    personal_round: int | None = Field(
        default=None,
        description="The round of the parent whose personal states its clients began with; absent "
        "where it is that of the version.",
    )


class ForkView(ForkOrigin):
    """Where a fork comes from, and with which personal states its clients began."""

    personal_states: dict[Name, Sha256] = Field(
        default_factory=dict,
        description="The state of the parent that each client goes on with; who is not named "
        "begins without one.",
    )


class ForkRow(Message):
    """A job that was forked from another, as its parent names it."""

    id: UUID
    name: str
    round: int = Field(description="The parent's version that it began with.")


class JobView(Message):
    """A job and where it stands."""

    id: UUID
    name: str
    algorithm: str
    state: JobState
    round: int = Field(description="The newest round, 0 before the first.")
    rounds: int = Field(description="Rounds that the job asks for.")
    clients: tuple[Name, ...]
    created_at: datetime
    updated_at: datetime
    failure: FailureView | None = None
    waiting: Waiting | None = Field(
        default=None, description="Why it has not ended; absent once it has."
    )
    forked_from: ForkOrigin | None = Field(default=None, description="Absent where it is no fork.")


class JobDetail(JobView):
    """A job with its spec and its lineage."""

    spec: JobSpec
    forked_from: ForkView | None = Field(default=None, description="Absent where it is no fork.")
    forks: tuple[ForkRow, ...] = Field(
        default=(), description="The jobs that were forked from it, oldest first."
    )
    last_event: LastEvent = 0


class JobFork(Message):
    """Asks for a job that goes on from a version of another."""

    round: Annotated[int, Field(ge=0, le=2**31 - 1)] = Field(
        description="The parent's version to begin with; round + 1 is the first of the fork."
    )
    spec: JobSpec
    personal_states: Literal["parent", "fresh"] = Field(
        default="parent",
        description="Whether clients go on with their personal states of that round, or begin "
        "without any.",
    )
    personal_round: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = Field(
        default=None,
        description="Another round of the parent, whose personal states go with the version.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.personal_round is not None and self.personal_states == "fresh":
            raise ValueError(
                "personal_round names states that personal_states: fresh leaves behind: leave one "
                "of both out"
            )
        return self

    @property
    def other_personal_round(self) -> int | None:
        """The round of the personal states, where it is not that of the version."""
        return None if self.personal_round == self.round else self.personal_round


class JobList(Message):
    """A page of jobs, newest first unless another order is asked for."""

    items: tuple[JobView, ...]
    next: Next = None


class AssignmentView(Message):
    """One client's part in a round or phase."""

    id: UUID
    client: Name | None = Field(description="Absent for the planner's assignment.")
    kind: AssignmentKind
    state: AssignmentState
    attempt: int
    progress: float
    losses: dict[Name, TaskLosses] = Field(default_factory=dict)
    decisions: tuple[Decision, ...] = ()
    traffic: Traffic | None = None
    samples_at_once: SamplesAtOnce = None
    failure: FailureView | None = None
    waiting: Waiting | None = Field(
        default=None,
        description="Why it has not ended; absent once it has, and in answers to its own worker.",
    )


class RoundView(Message):
    """A round: who was asked, what came, what travelled."""

    number: int
    phase: AssignmentKind = AssignmentKind.TRAIN
    state: RoundState
    opened_at: datetime
    deadline_at: datetime
    closed_at: datetime | None
    quorum: int = Field(default=1, description="Accepted clients without which the round fails.")
    target: int = Field(default=1, description="Accepted clients with which the round closes.")
    quorum_at: datetime | None = Field(default=None, description="When the quorum was there.")
    extensions: int = Field(default=0, description="How often the round got another deadline.")
    version: int | None = Field(description="The version that the round published.")
    bytes_down: int
    bytes_up: int
    bytes_full_exchange: int = Field(
        description="What sending full state dicts would have cost: down and up in a round of "
        "training, down in the last phase, nothing in others."
    )
    assignments: tuple[AssignmentView, ...]
    waiting: Waiting | None = Field(
        default=None, description="Why it is not closed; absent once it is."
    )


class RoundDetail(RoundView):
    """A round, and up to when it says what happened."""

    last_event: LastEvent = 0


class RoundList(Message):
    """A page of a job's rounds, oldest first unless another order is asked for."""

    items: tuple[RoundView, ...]
    next: Next = None
    last_event: LastEvent = 0


class ContributionView(Message):
    """One client's share in one component of a version."""

    client: Name
    weight: float = Field(description="Training samples that stood behind the component.")


class ManifestEntry(Message):
    """One component of a version."""

    sha256: Sha256
    n_bytes: int
    made_in: int = Field(description="The version that first held this artifact.")
    relative_error: float | None = Field(
        default=None,
        description="Of the aggregate's low-rank pairs: |mean(BA) - B^A^| / |mean(BA)|; null where "
        "no whole pair was aggregated.",
    )
    contributions: tuple[ContributionView, ...] = ()


class VersionView(Message):
    """An immutable map from component to artifact."""

    number: int
    round: int
    created_at: datetime
    manifest: dict[ComponentName, ManifestEntry]


class VersionSummary(Message):
    """A version without its manifest."""

    number: int
    round: int
    created_at: datetime
    n_components: int
    n_changed: int
    n_bytes: int


class VersionList(Message):
    """A page of a job's versions, oldest first unless another order is asked for."""

    items: tuple[VersionSummary, ...]
    next: Next = None


class EventView(Message):
    """Something that happened to a job."""

    id: int
    at: datetime
    kind: str
    job_id: UUID | None
    data: dict[str, str | int | float | bool | None]


class EventList(Message):
    """A page of events, oldest first unless another order is asked for.

    To hear of later ones, pass the greatest id as `after`.
    """

    items: tuple[EventView, ...]
    next: Next = None


class Who(Message):
    """Whose key it is."""

    scope: str = Field(description="viewer, operator, admin, client or planner.")
    client: Name | None


class ClientCreate(Message):
    """Registers a client."""

    id: Name
    description: Annotated[str, Field(max_length=500)] = ""


class ClientView(Message):
    """A client and what it offers."""

    id: Name
    description: str
    created_at: datetime
    seen_at: datetime | None = Field(
        description="When a worker last spoke for it, to within 15 seconds."
    )
    offer: ClientOffer | None


class ClientCreated(ClientView):
    """A new client with its key, shown this once."""

    key: str


class ClientList(Message):
    """A page of clients, by their ids unless another order is asked for."""

    items: tuple[ClientView, ...]
    next: Next = None
