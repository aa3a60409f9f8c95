"""What travels between workers and server: offers, claims, results, uploads. JSON on the wire."""

from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

from shared.components import Modality, TaskKind
from shared.job_spec import JobSpec
from shared.readiness import PublishedCard
from shared.shelf_spec import ShelfForm
from shared.spec import Name, Sha256

ComponentName = Annotated[str, Field(min_length=1, max_length=200)]
TensorName = Annotated[str, Field(min_length=1, max_length=300)]
Sentence = Annotated[str, Field(min_length=1, max_length=2000)]


class Message(BaseModel):
    """A frozen message; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskOffer(Message):
    """What a client has for one task: counts only, never a sample."""

    kind: TaskKind
    modalities: tuple[Modality, ...]
    n_classes: NonNegativeInt = 0
    train: Annotated[dict[Name, PositiveInt], Field(min_length=1)] = Field(
        description="Training samples per domain."
    )
    validation: PositiveInt
    test: PositiveInt

    @property
    def n_train(self) -> int:
        """Training samples of all domains."""
        return sum(self.train.values())


class ClientOffer(Message):
    """What a client can take part in; its readiness card only if it publishes one."""

    tasks: Annotated[dict[Name, TaskOffer], Field(min_length=1)]
    card: PublishedCard | None = None
    shelf: ShelfForm = Field(
        default=ShelfForm.NONE,
        description="The most open form in which the server may keep its personal models.",
    )

    @property
    def modalities(self) -> dict[str, tuple[Modality, ...]]:
        """What it reads, by task."""
        return {name: task.modalities for name, task in self.tasks.items()}


class TensorSpec(Message):
    """Shape and dtype (safetensors' name) of one tensor."""

    shape: tuple[NonNegativeInt, ...]
    dtype: Literal["F32"] = "F32"

    @property
    def n_values(self) -> int:
        """Number of values."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def n_bytes(self) -> int:
        """Bytes of the values."""
        return 4 * self.n_values


class ComponentSpec(Message):
    """The tensors of one component, and the bytes of frozen weights that it stands on."""

    tensors: Annotated[dict[TensorName, TensorSpec], Field(min_length=1)]
    frozen_bytes: NonNegativeInt = 0


class Catalogue(Message):
    """What every component of a job is: the server refuses anything else."""

    base_digest: Sha256
    components: Annotated[dict[ComponentName, ComponentSpec], Field(min_length=1)]


class AssignmentKind(StrEnum):
    """What an assignment asks for."""

    PLAN = "plan"
    TRAIN = "train"
    PERSONALIZE = "personalize"
    EVALUATE = "evaluate"


class Lease(Message):
    """The right to work on an assignment; `attempt` fences off earlier holders."""

    id: UUID
    attempt: PositiveInt
    seconds: float = Field(description="Seconds from now until the lease is missed.")


class Claim(Message):
    """One assignment, claimed, with all that it takes to do it."""

    assignment_id: UUID
    kind: AssignmentKind
    job_id: UUID
    spec: JobSpec
    lease: Lease
    round: NonNegativeInt = Field(description="Round number from 1; 0 when planning.")
    components: tuple[ComponentName, ...] = Field(description="Components that this client uses.")
    tasks: dict[Name, tuple[Modality, ...]] = Field(
        default_factory=dict,
        description="The client's tasks in this assignment, and what it reads for each: what it "
        "had when the job was submitted, and still has. Empty when planning.",
    )
    version: NonNegativeInt | None = Field(default=None, description="Absent when planning.")
    manifest: dict[ComponentName, Sha256] = Field(
        default_factory=dict, description="Artifact of each of the components in that version."
    )
    sizes: dict[ComponentName, PositiveInt] = Field(
        default_factory=dict, description="Bytes of each of those artifacts."
    )
    base_digest: Sha256 | None = None
    state_digest: Sha256 | None = Field(
        default=None,
        description="Personal state after the last accepted assignment, if any; in a fork before "
        "that, the parent's.",
    )
    parent_job_id: UUID | None = Field(
        default=None, description="The job that this one was forked from, if any."
    )


class HeldLease(Message):
    """Which lease a worker speaks for."""

    lease_id: UUID = Field(description="From the claim.")
    attempt: PositiveInt = Field(description="Of the assignment, from the claim.")


class HeldAssignment(HeldLease):
    """Which assignment a worker holds, and under which lease."""

    assignment_id: UUID


class ClaimRequest(Message):
    """What a worker that was interrupted still has in hand: it may go on with it."""

    held: HeldAssignment | None = None


class Heartbeat(HeldLease):
    """A worker lives and works on its assignment."""

    progress: Annotated[float, Field(ge=0, le=1)] = 0.0


class Instruction(StrEnum):
    """What a worker is to do with the assignment that it holds."""

    CONTINUE = "continue"
    CANCEL = "cancel"
    STALE = "stale"


class HeartbeatReply(Message):
    """The server's answer to a heartbeat."""

    instruction: Instruction
    lease_seconds: float


LEASE_HEADER = "Lease-Id"


class FailureCode(StrEnum):
    """Why a worker could not do its assignment."""

    OUT_OF_MEMORY = "out_of_memory"
    DIVERGED = "diverged"
    BAD_DATA = "bad_data"
    BASE_MISMATCH = "base_mismatch"
    STATE_MISMATCH = "state_mismatch"
    REFUSED = "refused"
    INTERNAL = "internal"
    NO_SPACE = "no_space"  # the worker's disk is full: tried again until there is some


RETRYABLE = frozenset({FailureCode.OUT_OF_MEMORY, FailureCode.INTERNAL, FailureCode.NO_SPACE})


class Failure(HeldLease):
    """A worker could not do its assignment, and why."""

    code: FailureCode
    message: Sentence


class UploadWish(Message):
    """The bytes of one component that are to come."""

    sha256: Sha256
    n_bytes: PositiveInt


class UploadCreate(HeldAssignment):
    """Announces components' bytes for an assignment: one upload for all of them."""

    components: Annotated[dict[ComponentName, UploadWish], Field(min_length=1)]


class UploadView(Message):
    """One stream of bytes, wanted from `offset` on; when complete, all is checked and kept."""

    id: UUID
    components: tuple[ComponentName, ...] = Field(
        description="The components whose files make up the stream, one after the other; those "
        "that an earlier attempt has completed are not among them."
    )
    offset: NonNegativeInt
    n_bytes: NonNegativeInt
    complete: bool


class ArtifactBundle(Message):
    """Asks for artifacts in one stream."""

    sha256: Annotated[tuple[Sha256, ...], Field(min_length=1, max_length=10_000)]
