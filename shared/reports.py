"""What a job comes to: scores, replacements, bytes, who was missing. JSON on the wire."""

from enum import StrEnum
from uuid import UUID

from pydantic import Field

from shared.attendance import AttendanceRow, OfferChangeRow
from shared.averages import AverageRow
from shared.messages import ComponentName, Message
from shared.results import Decision, TaskScore, Variant
from shared.shelf import ShelfRow
from shared.spec import Name, Sha256
from shared.states import JobState
from shared.views import ForkOrigin


class ReportRow(Message):
    """One measured model: a client, a task, a variant."""

    client: Name
    task: Name
    variant: Variant
    score: TaskScore
    validation: TaskScore | None = None

    @property
    def label(self) -> str:
        """The variant, and which one a guarded model is for the task."""
        of = self.score.of
        return str(self.variant) if of is None else f"{self.variant}: {of}"


class ReplacementRow(Message):
    """One decision of stage one."""

    client: Name
    round: int
    decision: Decision


class ReportView(Message):
    """What federation gave, per client and task."""

    job_id: UUID
    name: str
    algorithm: str
    state: JobState
    forked_from: ForkOrigin | None = Field(
        default=None,
        description="Absent where it is no fork. A fork's report counts its own rounds only.",
    )
    rounds: int
    seconds: float
    bytes_down: int
    bytes_up: int
    bytes_full_exchange: int
    final_version: int
    final_manifest: dict[ComponentName, Sha256]
    scores: tuple[ReportRow, ...]
    averages: tuple[AverageRow, ...] = Field(
        default=(), description="Every metric over clients, by task, variant and metric."
    )
    replacements: tuple[ReplacementRow, ...]
    attendance: tuple[AttendanceRow, ...] = Field(
        default=(), description="The rounds of clients, oldest first, with their phases."
    )
    offer_changes: tuple[OfferChangeRow, ...] = Field(
        default=(),
        description="Modalities and tasks that clients lost in the middle of the job, or had "
        "again, oldest first.",
    )
    shelf: tuple[ShelfRow, ...] = Field(
        default=(),
        description="Clients' personal models on the server, as it is now; none where the job asks "
        "for none.",
    )
    optimizer_steps: dict[str, int] = Field(
        description="Budget per client and model: rounds, post-training, total."
    )


class Verdict(StrEnum):
    """What federation did for one client at one task."""

    HELPED = "helped"
    HURT = "hurt"
    LEVEL = "level"
    UNKNOWN = "unknown"


class BenefitRow(Message):
    """What federation gave one client at one task."""

    client: Name
    task: Name
    models: dict[Variant, TaskScore]
    last: Variant = Field(description="The model that the client ends with.")
    alone: TaskScore | None = Field(
        default=None, description="What it ended with in the job in which each trained alone."
    )
    averaged: TaskScore | None = Field(
        default=None, description="What it ended with in the job by FedAvg."
    )
    gain: float | None = Field(
        default=None, description="Skill of the last model less that of training alone."
    )
    difference: tuple[float, float] | None = Field(
        default=None,
        description="Interval of the last model's metric less that of training alone, out of the "
        "intervals of both.",
    )
    verdict: Verdict = Field(
        description="`helped` or `hurt` where the difference's interval excludes 0, `level` where "
        "it does not, `unknown` where the client was not measured alone."
    )


class BenefitsView(Message):
    """Who benefits: each client's task beside training alone, and beside FedAvg."""

    job_id: UUID
    alone: UUID | None = Field(description="The job in which each client trained alone.")
    averaged: UUID | None = Field(description="The job by FedAvg.")
    sentence: str = Field(description="The plain verdict.")
    rows: tuple[BenefitRow, ...]
