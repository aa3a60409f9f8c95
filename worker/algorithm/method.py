"""What an algorithm is to a client, and what stays with the client."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from dataclasses import replace as replace_fields
from typing import Generic, TypeVar, cast

from shared.algorithms import AlgorithmSpec
from shared.components import Modality
from shared.results import Decision, TaskLosses, Variant
from worker.models.network import State
from worker.training.trainer import Trainer


@dataclass(frozen=True)
class Personal:
    """What stays with a client: its models by variant, and h_Z of its personal one.

    reads: what each task read when its h_Z was measured.
    chosen: which model the guard keeps for each task, after a stage two that had one.
    """

    models: Mapping[Variant, State]
    losses: Mapping[str, float] = field(default_factory=dict)
    reads: Mapping[str, tuple[Modality, ...]] = field(default_factory=dict)
    chosen: Mapping[str, Variant] = field(default_factory=dict)

    @property
    def model(self) -> State | None:
        """The personal model Z, once there is one."""
        return self.models.get(Variant.PERSONAL)

    def completed(self, server: State) -> "Personal":
        """With the server's components for those that the client did not have before."""
        models = {v: {**server, **state} for v, state in self.models.items()}
        return replace_fields(self, models=models)


NOBODY = Personal({})


@dataclass(frozen=True)
class Outcome:
    """What a round, or stage two, leaves behind."""

    engaged: State | None  # X as trained, to be uploaded; None where nothing is
    personal: Personal
    losses: Mapping[str, TaskLosses]
    decisions: tuple[Decision, ...] = ()


Options = TypeVar("Options", bound=AlgorithmSpec)


@dataclass(frozen=True)
class Method(ABC, Generic[Options]):
    """What an algorithm does at a client: its part in a round, and stage two.

    The budget of optimizer steps is the same for all: `local_steps` a round and `post.steps` at the
    end for each model that is trained.
    """

    trainer: Trainer

    @property
    def options(self) -> Options:
        """What the job asks of its algorithm."""
        return cast("Options", self.trainer.spec.algorithm)

    @abstractmethod
    def round(self, server: State, personal: Personal, number: int) -> Outcome:
        """Round `number` (from 1), from the client's components of the current version."""

    @abstractmethod
    def personalize(self, server: State, personal: Personal) -> Outcome:
        """Stage two, from the client's components of the last version."""

    def final_models(self, server: State, personal: Personal) -> dict[Variant, State]:
        """The models to measure at the end."""
        return {Variant.ENGAGED: server, **personal.models}


def task_losses(
    engaged: Mapping[str, float] | None = None, personal: Mapping[str, float] | None = None
) -> dict[str, TaskLosses]:
    """The losses of the one, the other or both models by task."""
    engaged, personal = engaged or {}, personal or {}
    tasks = {**engaged, **personal}
    return {t: TaskLosses(engaged=engaged.get(t), personal=personal.get(t)) for t in tasks}
