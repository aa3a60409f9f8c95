"""pFedMe (Dinh et al. 2020): the engaged model follows the personal one that trains near it."""

from collections.abc import Sequence

import torch
from torch import Tensor
from typing_extensions import override

from shared.algorithms.pfedme import PFedMeAlgorithm
from shared.results import Variant
from worker.algorithm.method import Method, Outcome, Personal, task_losses
from worker.algorithm.pull import Pull, as_state
from worker.models.network import State
from worker.training.trainer import Trainer


class PFedMe(Method[PFedMeAlgorithm]):
    """theta by its own loss + lambda / 2 |theta - w|^2; after each K steps w moves to theta.

    The budget is the steps of theta. They are AdamW's, as everywhere, where the paper's are plain
    gradient steps, and each draws its own batch.
    """

    @override
    def round(self, server: State, personal: Personal, number: int) -> Outcome:
        """Both begin at the version; w is uploaded and theta stays."""
        rule = Moreau(self.trainer, server, self.options)
        theta, losses = self.trainer.local_steps(server, number, "personal", rule)
        engaged = as_state(self.trainer.network, rule.tensors())
        kept = Personal({Variant.PERSONAL: theta}, losses, self.trainer.reads)
        return Outcome(engaged, kept, task_losses(personal=losses))

    @override
    def personalize(self, server: State, personal: Personal) -> Outcome:
        """Theta once more, near the last version."""
        rule = Pull(self.trainer, server, self.options.strength)
        theta, losses = self.trainer.post_steps(server, rule=rule)
        models = {Variant.POST_TRAINED: theta}
        if personal.model is not None:
            models[Variant.PERSONAL] = personal.model
        return Outcome(None, Personal(models), task_losses(personal=losses))


class Moreau(Pull):
    """A pull whose anchor w follows: w <- w - eta lambda (w - theta) after each K steps."""

    def __init__(self, trainer: Trainer, start: State, options: PFedMeAlgorithm) -> None:
        super().__init__(trainer, start, options.strength)
        self.options = options

    @override
    def stepped(self, done: int) -> None:
        """Move w where K more steps are done."""
        if done % self.options.inner_steps:
            return
        share = self.options.rate * self.options.strength
        with torch.no_grad():
            for parameter, anchor in zip(self.parameters, self.anchor, strict=True):
                anchor.add_(parameter - anchor, alpha=share)

    @override
    def tensors(self) -> Sequence[Tensor]:
        """W."""
        return self.anchor


METHOD = PFedMe
