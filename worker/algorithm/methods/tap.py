"""TAP, Two-Stage Adaptive Personalization (arXiv 2509.26524)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace as replace_fields

import torch
from torch import Tensor
from typing_extensions import override

from shared.algorithms.tap import TapOptions
from shared.results import Decision, Variant
from worker.algorithm.distillation import taught_by
from worker.algorithm.guard import Measured, choose, measured, teachable
from worker.algorithm.method import Method, Outcome, Personal, task_losses
from worker.algorithm.replacement import decide, replace
from worker.models.network import State
from worker.training import seeds
from worker.training.held_out import held_out_losses
from worker.training.loop import Rule, check_finite

Losses = Mapping[str, float]


class Tap(Method[TapOptions]):
    """Stage one: adaptive replacement, in each round. Stage two: distillation, at the end."""

    @override
    def round(self, server: State, personal: Personal, number: int) -> Outcome:
        """Train X; where it is better by the margin, copy C(o) into Z; train Z."""
        engaged, engaged_losses = self.trainer.local_steps(server, number, "engaged")
        with self.trainer.spent.phase("replace"):
            decisions = self._decisions(engaged, engaged_losses, personal, number)
            start = self._replaced(server, engaged, personal, decisions)
        model, losses = self.trainer.local_steps(start, number, "personal")
        return Outcome(
            engaged,
            Personal({Variant.PERSONAL: model}, losses, self.trainer.reads),
            task_losses(engaged_losses, losses),
            decisions,
        )

    def _replaced(
        self, server: State, engaged: State, personal: Personal, decisions: tuple[Decision, ...]
    ) -> State:
        """Where Z's training starts."""
        if personal.model is None and self.options.replacement == "never":
            return server
        sets, shared = self.trainer.component_sets, self.options.shared_components
        return replace(personal.model, engaged, decisions, sets, shared)

    def _decisions(
        self, engaged: State, losses: Losses, personal: Personal, number: int
    ) -> tuple[Decision, ...]:
        """What each task's losses say, or the control that the job asks for.

        A task that reads other modalities than when h_Z was measured is not decided about: its
        losses do not compare, and Z, unlike at the first time, has been trained on it.
        """
        reads = self.trainer.reads
        compared = [task for task in losses if personal.reads.get(task, reads[task]) == reads[task]]
        known = [task for task in compared if task in personal.losses]
        found = self._compared(engaged, losses, personal, known)
        margins = {**{t: self.trainer.spec.tasks[t].margin for t in compared}, **found.margins}
        decisions = decide({t: found.engaged[t] for t in compared}, found.personal, margins)
        return tuple(self._controlled(each, number) for each in decisions)

    def _compared(
        self, engaged: State, losses: Losses, personal: Personal, known: list[str]
    ) -> "_Compared":
        """h_X, and h_Z and the margins of the tasks that Z has been trained on."""
        margins = {task: self.trainer.spec.tasks[task].margin for task in known}
        if self.options.signal == "train" or personal.model is None:
            h_z = {task: personal.losses[task] for task in known}
            return _Compared(losses, h_z, self._scaled(margins, h_z))
        x = self._held_out(Variant.ENGAGED, engaged)
        z = self._held_out(Variant.PERSONAL, personal.model)
        h_z = {task: float(z[task].mean()) for task in known}
        if self.options.margin == "auto":
            k = 1.0 if self.options.standard_errors is None else self.options.standard_errors
            margins = {task: k * standard_error(z[task] - x[task]) for task in known}
        h_x = {task: float(x[task].mean()) for task in losses}
        return _Compared(h_x, h_z, self._scaled(margins, h_z))

    def _held_out(self, variant: Variant, model: State) -> dict[str, Tensor]:
        """A model's losses on the validation samples. (N,) each. Raises DivergedError."""
        found = held_out_losses(self.trainer, model)
        for task, losses in found.items():
            called = f"loss of the {variant} model at task {task!r} on its validation samples"
            check_finite(float(losses.mean()), called)
        return found

    def _scaled(self, margins: Losses, h_z: Losses) -> Losses:
        """Relative margins are shares of h_Z."""
        if self.options.margin != "relative":
            return margins
        return {task: margin * h_z[task] for task, margin in margins.items()}

    def _controlled(self, decision: Decision, number: int) -> Decision:
        """The decision, or what a control puts in its place."""
        match self.options.replacement:
            case "adaptive":
                return decision
            case "always":
                replaced = True
            case "never":
                replaced = False
            case "random":
                names = (self.trainer.spec.seed, self.trainer.client, number, decision.task)
                drawn = torch.rand((), generator=seeds.generator(*names, "replacement"))
                rate = self.options.replacement_rate or 0.0
                replaced = decision.personal_loss is None or float(drawn) < rate
        return decision.model_copy(update={"replaced": replaced})

    @override
    def personalize(self, server: State, personal: Personal) -> Outcome:
        """The last server model, locally trained, teaches the personal model."""
        teacher, engaged_losses = self.trainer.post_steps(server)
        student = server if personal.model is None else personal.model
        models = {Variant.POST_TRAINED: teacher, Variant.PERSONAL: student}
        found = {}
        if self.options.guard or self.options.teacher == "better":
            found = measured(self.trainer, models)
        rule = self._taught(teacher, found) if self.options.distillation else None
        distilled, losses = self.trainer.post_steps(student, "distill", rule)
        last = {Variant.DISTILLED: distilled}
        chosen = choose(found | measured(self.trainer, last)) if self.options.guard else {}
        kept = replace_fields(personal, models=models | last, chosen=chosen)
        return Outcome(None, kept, task_losses(engaged_losses, losses))

    def _taught(self, teacher: State, found: Measured) -> Rule:
        """Stage two's loss: with the teacher at each task, or where it is the better model."""
        tasks = teachable(found) if self.options.teacher == "better" else None
        return Rule(taught_by(self.trainer, teacher, self.options.temperature, tasks))


@dataclass(frozen=True)
class _Compared:
    """What stage one compares, by task; h_Z and margins of those that Z has been trained on."""

    engaged: Losses
    personal: Losses
    margins: Losses


def standard_error(differences: Tensor) -> float:
    """Of the mean of paired differences (N,); 0 for a single pair."""
    if len(differences) < 2:
        return 0.0
    return float(differences.std()) / math.sqrt(len(differences))


METHOD = Tap
