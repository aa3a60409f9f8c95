"""What each algorithm does at a client: a round, and stage two.

The budget of optimizer steps is the same for all: `local_steps` a round and `post.steps` at the end
for each model that is trained.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from dataclasses import replace as replace_fields

from shared.components import Modality
from shared.job_spec import FedAvgAlgorithm, LocalAlgorithm, TapAlgorithm
from shared.results import Decision, TaskLosses, Variant
from worker.algorithm.replacement import decide, replace
from worker.models.network import State
from worker.training.trainer import Trainer


@dataclass(frozen=True)
class Personal:
    """What stays with a client: its models by variant, and h_Z of its personal one.

    reads: what each task read when its h_Z was measured.
    """

    models: Mapping[Variant, State]
    losses: Mapping[str, float] = field(default_factory=dict)
    reads: Mapping[str, tuple[Modality, ...]] = field(default_factory=dict)

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


def client_round(trainer: Trainer, server: State, personal: Personal, number: int) -> Outcome:
    """One client's part in round `number` (from 1), from its components of the current version."""
    match trainer.spec.algorithm:
        case TapAlgorithm():
            return _tap_round(trainer, server, personal, number)
        case FedAvgAlgorithm():
            engaged, losses = trainer.local_steps(server, number, "engaged")
            return Outcome(engaged, personal, _losses(engaged=losses))
        case LocalAlgorithm():
            start = server if personal.model is None else personal.model
            model, losses = trainer.local_steps(start, number, "personal")
            kept = Personal({Variant.PERSONAL: model}, losses, trainer.reads)
            return Outcome(None, kept, _losses(personal=losses))


def _tap_round(trainer: Trainer, server: State, personal: Personal, number: int) -> Outcome:
    """Stage one: train X; where it is better by the margin, copy C(o) into Z; train Z.

    A task that reads other modalities than when h_Z was measured is not decided about: its losses
    do not compare, and Z, unlike at the first time, has been trained on it.
    """
    engaged, engaged_losses = trainer.local_steps(server, number, "engaged")
    compared = {
        task: loss
        for task, loss in engaged_losses.items()
        if personal.reads.get(task, trainer.reads[task]) == trainer.reads[task]
    }
    margins = {task: trainer.spec.tasks[task].margin for task in compared}
    decisions = decide(compared, personal.losses, margins)
    start = replace(personal.model, engaged, decisions, trainer.component_sets)
    model, losses = trainer.local_steps(start, number, "personal")
    return Outcome(
        engaged,
        Personal({Variant.PERSONAL: model}, losses, trainer.reads),
        _losses(engaged_losses, losses),
        decisions,
    )


def personalize(trainer: Trainer, server: State, personal: Personal) -> Outcome:
    """Stage two, from the client's components of the last version."""
    match trainer.spec.algorithm:
        case TapAlgorithm():
            return _distill(trainer, server, personal)
        case FedAvgAlgorithm():
            trained, losses = trainer.post_steps(server)
            return Outcome(None, Personal({Variant.POST_TRAINED: trained}), _losses(engaged=losses))
        case LocalAlgorithm():
            start = server if personal.model is None else personal.model
            trained, losses = trainer.post_steps(start)
            models = {Variant.PERSONAL: start, Variant.POST_TRAINED: trained}
            return Outcome(None, Personal(models), _losses(personal=losses))


def _distill(trainer: Trainer, server: State, personal: Personal) -> Outcome:
    """The last server model, locally trained, teaches the personal model."""
    teacher, engaged_losses = trainer.post_steps(server)
    student = server if personal.model is None else personal.model
    distilled, losses = trainer.post_steps(student, teacher)
    models = {
        Variant.POST_TRAINED: teacher,
        Variant.PERSONAL: student,
        Variant.DISTILLED: distilled,
    }
    kept = replace_fields(personal, models=models)
    return Outcome(None, kept, _losses(engaged_losses, losses))


def final_models(trainer: Trainer, server: State, personal: Personal) -> dict[Variant, State]:
    """The models to measure at the end; `local` has no use for the server's."""
    if isinstance(trainer.spec.algorithm, LocalAlgorithm):
        return dict(personal.models)
    return {Variant.ENGAGED: server, **personal.models}


def _losses(
    engaged: Mapping[str, float] | None = None, personal: Mapping[str, float] | None = None
) -> dict[str, TaskLosses]:
    engaged, personal = engaged or {}, personal or {}
    tasks = {**engaged, **personal}
    return {t: TaskLosses(engaged=engaged.get(t), personal=personal.get(t)) for t in tasks}
