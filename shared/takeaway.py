"""What a client may read of a job in which it takes part, to take its model away."""

from uuid import UUID

from pydantic import Field, NonNegativeInt, PositiveInt

from shared.components import Modality
from shared.job_spec import JobSpec
from shared.messages import ComponentName, Message
from shared.reports import ReplacementRow, ReportRow
from shared.spec import Name, Sha256
from shared.states import JobState
from shared.views import ForkOrigin


class TakenComponent(Message):
    """One of the client's components in a version of the server's."""

    sha256: Sha256
    n_bytes: PositiveInt
    made_in: NonNegativeInt = Field(description="The version that first held this artifact.")


class TakeawayView(Message):
    """A job as one of its clients may see it: nothing in it is of another client.

    The other clients' names are: they are part of the spec, which each claim brings.
    """

    job_id: UUID
    name: str
    state: JobState
    spec: JobSpec
    base_digest: Sha256 | None = Field(description="Absent before the job is planned.")
    forked_from: ForkOrigin | None = Field(default=None, description="Absent where it is no fork.")
    parent_state_digest: Sha256 | None = Field(
        default=None, description="The parent's personal state that a fork's client began with."
    )
    state_digest: Sha256 | None = Field(
        default=None, description="The client's personal state that was accepted last, if any."
    )
    rounds: NonNegativeInt = Field(description="Training rounds of the job that were published.")
    took_part: tuple[int, ...] = Field(
        default=(), description="Those of them in which the client's work was accepted."
    )
    tasks: dict[Name, tuple[Modality, ...]] = Field(
        default_factory=dict, description="What the client reads for each of its tasks by now."
    )
    components: tuple[ComponentName, ...] = Field(
        default=(), description="Components that the client uses; none before it was asked."
    )
    version: NonNegativeInt | None = Field(
        default=None,
        description="The newest version that the client was given: that of its engaged model.",
    )
    manifest: dict[ComponentName, TakenComponent] = Field(
        default_factory=dict, description="The client's components in that version."
    )
    scores: tuple[ReportRow, ...] = Field(default=(), description="The client's own.")
    replacements: tuple[ReplacementRow, ...] = Field(default=(), description="The client's own.")
