"""What a job comes to: scores, replacements, bytes, who was missing. JSON on the wire."""

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
