"""Per-FedAvg (Fallah et al. 2020), first order: FedAvg for the loss one step ahead."""

from collections.abc import Callable

import torch
from typing_extensions import override

from shared.algorithms.perfedavg import PerFedAvgAlgorithm
from worker.algorithm.averaging import Averaging
from worker.training.loop import Rule
from worker.training.trainer import Trainer


class PerFedAvg(Averaging[PerFedAvgAlgorithm]):
    """Each step takes the gradient at w - alpha grad(w), of other samples: half as many steps."""

    @override
    def rule(self) -> Rule:
        """For what X will be a step later."""
        return Ahead(self.trainer, self.options.rate)


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
