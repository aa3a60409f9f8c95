"""What workers report of an assignment that is done. JSON on the wire."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt

from shared.messages import ComponentName, HeldLease, Message
from shared.spec import Name, Sha256

# Of what a worker counts and measures: sums of so much stay below what Postgres and floats hold.
MOST_COUNTED = 2**53
LONGEST_S = 1e9

SamplesAtOnce = Annotated[
    PositiveInt | None,
    Field(
        description="The most samples that went through the network at once, where the memory did "
        "not suffice for a whole batch; the sums are the same but for rounding."
    ),
]


class Decision(Message):
    """Whether stage one replaced a task's components in the personal model, and why.

    Losses are means per sample; `personal_loss` is absent before the first personal training
    (infinity in the paper).
    """

    task: Name
    engaged_loss: FiniteFloat
    personal_loss: FiniteFloat | None
    margin: FiniteFloat
    replaced: bool


class TaskLosses(Message):
    """Mean training losses of one task in one assignment, per sample."""

    engaged: FiniteFloat | None = None
    personal: FiniteFloat | None = None


class Traffic(Message):
    """Bytes of artifacts that one assignment moved, and how long it took."""

    bytes_down: NonNegativeInt = 0
    bytes_up: NonNegativeInt = 0
    seconds: Annotated[float, Field(ge=0)] = 0.0


class Pace(Message):
    """How fast an assignment trained."""

    steps: PositiveInt = Field(description="Optimizer steps of all its trainings.")
    step_seconds: Annotated[FiniteFloat, Field(ge=0)] = Field(
        description="Mean over the steps that the reporting worker made itself."
    )


class Variant(StrEnum):
    """Which of a client's models was measured; `guarded` is for each task one of the others."""

    ENGAGED = "engaged"
    POST_TRAINED = "post_trained"
    PERSONAL = "personal"
    DISTILLED = "distilled"
    GUARDED = "guarded"


class TaskScore(Message):
    """How good one model is at one task on one client's test split.

    `skill` is (value - reference) / (best - reference): 0 for the best constant answer learnt from
    the client's training split, 1 for a perfect model.
    """

    metric: str
    value: FiniteFloat
    reference: FiniteFloat
    skill: FiniteFloat
    n: PositiveInt
    metrics: dict[str, FiniteFloat] = Field(
        default_factory=dict, description="All that was measured, the primary metric among it."
    )
    intervals: dict[str, tuple[FiniteFloat, FiniteFloat]] = Field(
        default_factory=dict,
        description="Lower and upper end of each metric's bootstrap interval, at the confidence "
        "of the job's evaluation; absent for a single sample.",
    )
    encoder: str | None = Field(
        default=None, description="Whose bert_score_f1 it is: the encoder's name, and its layer."
    )
    of: Variant | None = Field(
        default=None, description="Of a guarded model: which variant was chosen for the task."
    )


class PlanResult(HeldLease):
    """Version 0 is uploaded."""

    kind: Literal["plan"] = "plan"
    components: dict[ComponentName, Sha256]
    traffic: Traffic = Traffic()


class TrainResult(HeldLease):
    """A round's work of one client is done."""

    kind: Literal["train"] = "train"
    components: dict[ComponentName, Sha256] = Field(description="Uploaded components that changed.")
    losses: dict[Name, TaskLosses]
    decisions: tuple[Decision, ...] = ()
    state_digest: Sha256 | None = None
    traffic: Traffic = Traffic()
    samples_at_once: SamplesAtOnce = None
    pace: Pace | None = Field(default=None, description="Absent where the worker does not say.")


class PersonalizeResult(HeldLease):
    """Stage two of one client is done."""

    kind: Literal["personalize"] = "personalize"
    losses: dict[Name, TaskLosses]
    state_digest: Sha256 | None = None
    traffic: Traffic = Traffic()
    samples_at_once: SamplesAtOnce = None
    pace: Pace | None = Field(default=None, description="Absent where the worker does not say.")


class EvaluateResult(HeldLease):
    """One client's models are measured."""

    kind: Literal["evaluate"] = "evaluate"
    scores: dict[Variant, dict[Name, TaskScore]]
    validation: dict[Variant, dict[Name, TaskScore]] = Field(default_factory=dict)
    traffic: Traffic = Traffic()
    samples_at_once: SamplesAtOnce = None


AssignmentResult = Annotated[
    PlanResult | TrainResult | PersonalizeResult | EvaluateResult, Field(discriminator="kind")
]
