"""Who was asked in each round, who delivered, and who was missing. JSON on the wire."""

from pydantic import Field, NonNegativeInt

from shared.components import Modality
from shared.messages import AssignmentKind, ComponentName, Message
from shared.spec import Name
from shared.states import AssignmentState, RoundState
from shared.views import Next


class AbsenceRow(Message):
    """A client that was asked and has not delivered."""

    client: Name
    state: AssignmentState
    reason: str
    components: tuple[ComponentName, ...] = Field(
        default=(), description="What it was asked for, in a training round."
    )


class AttendanceRow(Message):
    """Who was asked in one round, who delivered, and who was missing.

    Only training rounds deliver components; where the round is not closed, what is missing may
    still come.
    """

    round: int
    phase: AssignmentKind = Field(description="Train, personalize or evaluate.")
    state: RoundState
    asked: tuple[Name, ...]
    accepted: tuple[Name, ...]
    missing: tuple[AbsenceRow, ...]
    contributors: dict[ComponentName, tuple[Name, ...]] = Field(
        description="Clients that delivered each component."
    )
    not_delivered: dict[ComponentName, tuple[Name, ...]] = Field(
        description="For each component that somebody was asked for, the clients that were asked "
        "and have not delivered it; empty where all have."
    )
    carried_over: tuple[ComponentName, ...] = Field(
        description="Components that somebody was asked for and nobody delivered: the next version "
        "has them as they were. Empty until the round is closed."
    )


class OfferChange(Message):
    """What a client had for a job and lost in the middle of it, or has again."""

    task: Name
    modality: Modality | None = Field(description="Absent where it is the whole task.")
    lost: bool
    round: NonNegativeInt = Field(description="The first round that goes by it.")
    phase: AssignmentKind = Field(description="Of that round.")


class OfferChangeRow(OfferChange):
    """Whose change it is."""

    client: Name


class AttendanceList(Message):
    """A page of the rounds of a job's clients, with their phases."""

    items: tuple[AttendanceRow, ...]
    next: Next = None
