"""TAP, Two-Stage Adaptive Personalization (arXiv 2509.26524)."""

from dataclasses import replace as replace_fields

from typing_extensions import override

from shared.algorithms.tap import TapAlgorithm
from shared.results import Variant
from worker.algorithm.distillation import taught_by
from worker.algorithm.method import Method, Outcome, Personal, task_losses
from worker.algorithm.replacement import decide, replace
from worker.models.network import State
from worker.training.loop import Rule


class Tap(Method[TapAlgorithm]):
    """Stage one: adaptive replacement, in each round. Stage two: distillation, at the end."""

    @override
    def round(self, server: State, personal: Personal, number: int) -> Outcome:
        """Train X; where it is better by the margin, copy C(o) into Z; train Z.

        A task that reads other modalities than when h_Z was measured is not decided about: its
        losses do not compare, and Z, unlike at the first time, has been trained on it.
        """
        engaged, engaged_losses = self.trainer.local_steps(server, number, "engaged")
        compared = {
            task: loss
            for task, loss in engaged_losses.items()
            if personal.reads.get(task, self.trainer.reads[task]) == self.trainer.reads[task]
        }
        margins = {task: self.trainer.spec.tasks[task].margin for task in compared}
        decisions = decide(compared, personal.losses, margins)
        start = replace(personal.model, engaged, decisions, self.trainer.component_sets)
        model, losses = self.trainer.local_steps(start, number, "personal")
        return Outcome(
            engaged,
            Personal({Variant.PERSONAL: model}, losses, self.trainer.reads),
            task_losses(engaged_losses, losses),
            decisions,
        )

    @override
    def personalize(self, server: State, personal: Personal) -> Outcome:
        """The last server model, locally trained, teaches the personal model."""
        teacher, engaged_losses = self.trainer.post_steps(server)
        student = server if personal.model is None else personal.model
        rule = Rule(taught_by(self.trainer, teacher, self.options.temperature))
        distilled, losses = self.trainer.post_steps(student, "distill", rule)
        models = {
            Variant.POST_TRAINED: teacher,
            Variant.PERSONAL: student,
            Variant.DISTILLED: distilled,
        }
        kept = replace_fields(personal, models=models)
        return Outcome(None, kept, task_losses(engaged_losses, losses))


METHOD = Tap
