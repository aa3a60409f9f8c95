"""A job's results as flat tables: what each round measured, decided, contributed and moved.

JSON on the wire, or CSV with the same columns. A table grows while its job runs; only the rows of
a round that fails go again.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Literal

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt

from shared.components import TaskKind
from shared.messages import AssignmentKind, ComponentName, Message
from shared.results import Decision, TaskLosses, Variant
from shared.spec import Name
from shared.states import RoundState
from shared.views import ContributionView, Next

VersionOrder = Literal["version", "-version"]
ComponentOrder = Literal["component", "-component"]
PhaseOrder = Literal["phase", "-phase"]
ScoreOrder = Literal["client", "-client"]


class LossRow(TaskLosses):
    """Mean training losses of one task at one client in one round, per sample."""

    round: PositiveInt
    client: Name
    task: Name


class LossTable(Message):
    """A page of training losses: by round, oldest first, then by client and task."""

    items: tuple[LossRow, ...]
    next: Next = None


class DecisionRow(Decision):
    """One decision of stage one: of a client about a task in a round."""

    round: PositiveInt
    client: Name
    components: NonNegativeInt = Field(
        description="Components of the task that the client trained: so many were copied if "
        "`replaced`, unless the algorithm spares those that several tasks share."
    )


class DecisionTable(Message):
    """A page of stage one's decisions: by round, oldest first, then by client and task."""

    items: tuple[DecisionRow, ...]
    next: Next = None


class ContributionRow(ContributionView):
    """One client's share in one component of a version."""

    version: PositiveInt
    component: ComponentName
    norm: FiniteFloat | None = Field(
        default=None, description="Of the change; absent where there was nothing to start from."
    )


class ContributionTable(Message):
    """A page of who made what: by version, oldest first, then by component and client."""

    items: tuple[ContributionRow, ...]
    next: Next = None


class ComponentRow(Message):
    """One component in a job's newest version, and who made it."""

    component: ComponentName
    n_bytes: PositiveInt
    n_changes: NonNegativeInt = Field(
        description="Versions of this job that changed it; the others carried it over."
    )
    last_changed: NonNegativeInt = Field(description="The version that first held it as it is.")
    last_contributors: tuple[Name, ...] = Field(
        description="Whose average it is; empty where it is the planner's."
    )
    clients: tuple[Name, ...] = Field(description="Clients of the job that use it.")


class ComponentTable(Message):
    """A page of a job's components, by name; empty before the job is planned."""

    items: tuple[ComponentRow, ...]
    next: Next = None


class TrafficRow(Message):
    """What one round of clients moved, and what full state dicts would have."""

    phase: AssignmentKind = Field(description="Train, personalize or evaluate.")
    round: PositiveInt
    state: RoundState
    asked: NonNegativeInt = Field(description="Clients that were asked.")
    accepted: NonNegativeInt = Field(description="Clients whose results were accepted.")
    bytes_down: NonNegativeInt
    bytes_up: NonNegativeInt
    bytes_full_exchange: NonNegativeInt = Field(
        description="What sending full state dicts would have cost: down and up in training, and "
        "down once for the final version."
    )
    opened_at: datetime
    seconds: float | None = Field(description="How long it was open; absent while it is.")


class TrafficTable(Message):
    """A page of rounds, oldest first; over all of them the sums are those of the report."""

    items: tuple[TrafficRow, ...]
    next: Next = None


class ScoreRow(Message):
    """One metric of one model of a client for a task, on the client's test split."""

    client: Name
    task: Name
    kind: TaskKind
    variant: Variant
    metric: str
    value: FiniteFloat
    lower: FiniteFloat | None = Field(description="Lower end of the bootstrap interval.")
    upper: FiniteFloat | None = Field(description="Upper end of the bootstrap interval.")
    skill: FiniteFloat | None = Field(description="Of the task's primary metric only.")
    n: PositiveInt = Field(description="Test samples.")
    of: Variant | None = Field(description="Of a guarded model: which variant was chosen.")


class ScoreTable(Message):
    """A page of scores: by client, task, variant and metric."""

    items: tuple[ScoreRow, ...]
    next: Next = None


Table = LossTable | DecisionTable | ContributionTable | ComponentTable | TrafficTable | ScoreTable

TABLES: Mapping[str, type[Table]] = MappingProxyType(
    {
        "losses": LossTable,
        "replacements": DecisionTable,
        "contributions": ContributionTable,
        "components": ComponentTable,
        "traffic": TrafficTable,
        "scores": ScoreTable,
    }
)
