"""Per-FedAvg (Fallah et al. 2020), first order: FedAvg for the loss one step ahead."""

from collections.abc import Callable

import torch
from typing_extensions import override

from shared.algorithms.perfedavg import PerFedAvgAlgorithm
from shared.results import Variant
from worker.algorithm.method import Method, Outcome, Personal, task_losses
from worker.models.network import State
from worker.training.loop import Rule
from worker.training.trainer import Trainer


class PerFedAvg(Method[PerFedAvgAlgorithm]):
    """Each step takes the gradient at w - alpha grad(w), of other samples: half as many steps."""

    @override
    def round(self, server: State, personal: Personal, number: int) -> Outcome:
        """Train X for what it will be a step later."""
        rule = Ahead(self.trainer, self.options.rate)
        engaged, losses = self.trainer.local_steps(server, number, "engaged", rule)
        return Outcome(engaged, personal, task_losses(engaged=losses))

    @override
    def personalize(self, server: State, personal: Personal) -> Outcome:
        """The few steps for which the last version was made."""
        trained, losses = self.trainer.post_steps(server)
        models = {Variant.POST_TRAINED: trained}
        return Outcome(None, Personal(models), task_losses(engaged=losses))


class Ahead(Rule):
    """The gradient at w - rate * gradient(w), without the second derivative."""

    passes = 2

    def __init__(self, trainer: Trainer, rate: float) -> None:
        super().__init__(trainer.plain)
        self.parameters = trainer.network.trainable
        self.rate = rate

    @override
    def gradients(self, backward: Callable[[], None]) -> None:
        """Step ahead, take the gradient there, and step back."""
        backward()
        before = [parameter.detach().clone() for parameter in self.parameters]
        with torch.no_grad():
            for parameter in self.parameters:
                if parameter.grad is not None:
                    parameter.sub_(parameter.grad, alpha=self.rate)
                    parameter.grad = None
        backward()
        with torch.no_grad():
            for parameter, value in zip(self.parameters, before, strict=True):
                parameter.copy_(value)


METHOD = PerFedAvg
