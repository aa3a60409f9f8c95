"""The job spec: everything that describes one federated run, and nothing about where it runs."""

import math
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    FiniteFloat,
    NonNegativeFloat,
    PositiveFloat,
    field_validator,
    model_validator,
)

from shared.aggregation_spec import AggregationSpec
from shared.algorithms import Algorithm
from shared.components import (
    SHARED,
    Component,
    Layers,
    Modality,
    TaskKind,
    task_components,
)
from shared.evaluation_spec import EvaluationSpec
from shared.model_spec import ModelSpec
from shared.rounds_spec import RoundsSpec
from shared.shelf_spec import ShelfForm
from shared.spec import Count, Name, Seed, Spec, Title

GENERAL = "general"

_CLASSIFIES = frozenset({TaskKind.IMAGE_CLASSIFICATION, TaskKind.TEXT_CLASSIFICATION})
_NEEDED_MODALITY = {
    TaskKind.IMAGE_CLASSIFICATION: Modality.IMAGE,
    TaskKind.IMAGE_GENERATION: Modality.IMAGE,
    TaskKind.TEXT_CLASSIFICATION: Modality.TEXT,
}


class TaskSpec(Spec):
    """One task, as all clients that have it understand it."""

    kind: TaskKind = Field(
        description="What is made of a sample; questions about images are text generation that "
        "reads both."
    )
    modalities: Annotated[tuple[Modality, ...], Field(min_length=1)] = Field(
        description="What is read of a sample; a client may read fewer of them."
    )
    classes: tuple[Title, ...] = Field(
        default=(),
        description="Class names, in the order of the head's outputs; classification only.",
    )
    domains: Annotated[tuple[Name, ...], Field(min_length=1)] = Field(
        default=(GENERAL,),
        description="Data domains, each with experts of its own; a sample is of one.",
    )
    margin: FiniteFloat = Field(
        default=0.0,
        description="TAP replaces when engaged loss + margin < personal loss (nats per label or "
        "token, or squared error per pixel value).",
    )
    distillation_weight: Annotated[FiniteFloat, Field(ge=0)] = Field(
        default=1.0, description="lambda of this task's distillation loss in stage two."
    )
    max_target_tokens: Annotated[int, Field(ge=2, le=512)] = Field(
        default=16,
        description="Longest generated text, its end token included; text generation only.",
    )

    @property
    def classifies(self) -> bool:
        """Whether the task's outputs are classes."""
        return self.kind in _CLASSIFIES

    def read_with(self, modalities: Collection[Modality]) -> "TaskSpec | None":
        """The task as a client reads it that has only these modalities; None if they do not do."""
        kept = tuple(each for each in self.modalities if each in modalities)
        if not kept or _NEEDED_MODALITY.get(self.kind) not in {None, *kept}:
            return None
        return self if kept == self.modalities else self.model_copy(update={"modalities": kept})

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        needed = _NEEDED_MODALITY.get(self.kind)
        if needed is not None and needed not in self.modalities:
            raise ValueError(f"{self.kind} reads {needed}: add it to modalities")
        for field in ("modalities", "classes", "domains"):
            values = getattr(self, field)
            if len(set(values)) != len(values):
                raise ValueError(f"{field} names something twice: remove the repetition")
        if self.classifies and len(self.classes) < 2:
            raise ValueError(f"{self.kind} needs at least two classes: list their names")
        if not self.classifies and self.classes:
            raise ValueError(f"{self.kind} has no classes: remove them")
        return self

    def components(
        self, name: str, layers: Layers, domains: tuple[str, ...] | None = None
    ) -> frozenset[Component]:
        """C(o) for this task called `name`, over `domains` (default: all of the task's)."""
        return task_components(
            name, self.kind, self.modalities, self.domains if domains is None else domains, layers
        )


class LearningRate(Spec):
    """Peak rate with linear warm-up over rounds, then linear decay to `final` at the last round."""

    peak: PositiveFloat = Field(default=3e-4, description="AdamW's rate after the warm-up.")
    warmup_from: PositiveFloat = Field(
        default=1e-4, description="Where the warm-up begins, before round 1."
    )
    warmup_rounds: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        default=20, description="Rounds until the peak; with 0 there is no warm-up."
    )
    final: PositiveFloat | None = Field(
        default=None, description="Rate of the last round; default: the peak, no decay."
    )

    def at(self, number: int, rounds: int) -> float:
        """The rate of round `number` (from 1) of `rounds`."""
        if number <= self.warmup_rounds:
            return self.warmup_from + (self.peak - self.warmup_from) * number / self.warmup_rounds
        final = self.peak if self.final is None else self.final
        span = max(rounds - self.warmup_rounds, 1)
        return self.peak + (final - self.peak) * (number - self.warmup_rounds) / span


Precision = Literal["auto", "float32", "bfloat16"]


class TrainingSpec(Spec):
    """Local training in a round: the budget is `local_steps` optimizer steps for each model."""

    local_steps: Count = Field(
        default=20, description="Optimizer steps of a round, for each model that is trained."
    )
    batch_size: Count = Field(
        default=32, description="Samples in a micro-batch, all tasks together."
    )
    accumulation: Count = Field(default=1, description="Micro-batches in an optimizer step.")
    learning_rate: LearningRate = LearningRate()
    weight_decay: NonNegativeFloat = Field(default=0.01, description="AdamW's.")
    clip_norm: PositiveFloat = Field(
        default=1.0, description="Gradients are scaled down to this norm, over all tensors."
    )
    precision: Precision = Field(
        default="auto",
        description="In what networks compute, here, in stage two and in evaluation; `auto` is "
        "bfloat16 on GPUs that support it and float32 elsewhere. What travels is float32.",
    )


class PostSpec(Spec):
    """Stage two: local training of the last server model, then distillation."""

    steps: Count = Field(
        default=13,
        description="Optimizer steps of the local training, and again as many of the distillation.",
    )
    learning_rate: Annotated[FiniteFloat, Field(gt=0)] = Field(
        default=1e-4, description="AdamW's rate in both, without warm-up or decay."
    )


class JobSpec(Spec):
    """One federated run."""

    name: Title = Field(description="For people; several jobs may have the same.")
    seed: Seed = Field(
        default=41,
        description="All randomness: first weights, choice of clients, batches, dropout.",
    )
    algorithm: Algorithm = Field(description="Its name, and its options beside it.")
    model: ModelSpec = ModelSpec()
    training: TrainingSpec = TrainingSpec()
    rounds: RoundsSpec
    aggregation: AggregationSpec = AggregationSpec()
    post: PostSpec = PostSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    tasks: Annotated[dict[Name, TaskSpec], Field(min_length=1)] = Field(
        description="The tasks by name; clients take part in those that they offer."
    )
    clients: Annotated[tuple[Name, ...], Field(min_length=1)] = Field(
        description="Who may take part: ids of registered clients that have made an offer."
    )
    priority: Annotated[int, Field(ge=-100, le=100)] = Field(
        default=0,
        description="Of several jobs, workers and coordinator serve the highest first, and equal "
        "ones in turn.",
    )
    shelf: ShelfForm = Field(
        default=ShelfForm.NONE,
        description="Whether the server keeps each client's final personal model for that client "
        "alone, `encrypted` with a key that only the client has or `plain`; a client that does "
        "not allow it goes without.",
    )

    @field_validator("tasks", mode="before")
    @classmethod
    def _described(cls, tasks: object) -> object:
        """Options of a task that is described nowhere are most likely of another's."""
        given = tasks if isinstance(tasks, dict) else {}
        for name, task in given.items():
            if isinstance(task, dict) and task and not task.keys() & {"kind", "modalities"}:
                others = ", ".join(str(each) for each in given if each != name) or "none yet"
                raise ValueError(
                    f"{name} has {', '.join(map(str, task))} but neither kind nor modalities: "
                    f"choose a task that is described ({others}), or describe it"
                )
        return tasks

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.clients)) != len(self.clients):
            raise ValueError("clients names a client twice: remove the repetition")
        rounds = self.rounds
        for field in ("clients_per_round", "quorum"):
            number = getattr(rounds, field)
            if number is not None and number > len(self.clients):
                raise ValueError(
                    f"rounds.{field} is {number} but the job names {len(self.clients)} clients; "
                    "lower it or name more"
                )
        least = self.aggregation.min_contributors
        if least > self.clients_per_round:
            raise ValueError(
                f"aggregation.min_contributors is {least} but a round has "
                f"{self.clients_per_round} clients; lower it or raise rounds.clients_per_round"
            )
        self.algorithm.check_budget(self.training.local_steps)
        if SHARED in self.tasks:
            raise ValueError(f"{SHARED!r} cannot be a task's name: choose another")
        return self

    def read_with(self, modalities: Mapping[str, Collection[Modality]]) -> "JobSpec":
        """The job as a client understands it that reads only these for its tasks."""
        narrowed = {
            name: read
            for name, task in self.tasks.items()
            if (read := task.read_with(modalities.get(name, ()))) is not None
        }
        return self.model_copy(update={"tasks": {**self.tasks, **narrowed}})

    @property
    def clients_per_round(self) -> int:
        """Clients whose work a round uses."""
        return self.rounds.clients_per_round or len(self.clients)

    def asked_for(self, wanted: int) -> int:
        """How many clients are asked so that `wanted` of them deliver; all of the job at most."""
        exact = wanted * Decimal(str(self.rounds.over_selection))
        return min(math.ceil(exact), len(self.clients))

    @property
    def quorum(self) -> int:
        """Accepted clients without which a round fails."""
        return self.rounds.quorum or self.clients_per_round
