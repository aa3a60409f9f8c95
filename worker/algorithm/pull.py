"""Training near an anchor: the proximal term of Ditto and pFedMe."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from typing_extensions import override

from worker.models.network import Network, State
from worker.training.loop import Rule
from worker.training.trainer import Trainer


class Pull(Rule):
    """The plain loss + strength / 2 |p - anchor|^2, whose gradient is added before clipping."""

    def __init__(self, trainer: Trainer, anchor: State, strength: float) -> None:
        super().__init__(trainer.plain)
        self.parameters = trainer.network.trainable
        self.anchor = values_of(trainer.network, anchor)
        self.strength = strength

    @override
    def gradients(self, backward: Callable[[], None]) -> None:
        """What no sample of the batch used is not pulled either."""
        backward()
        with torch.no_grad():
            for parameter, anchor in zip(self.parameters, self.anchor, strict=True):
                if parameter.grad is not None:
                    parameter.grad.add_(parameter - anchor, alpha=self.strength)


def values_of(network: Network, state: State) -> list[Tensor]:
    """A copy of a state where the network computes, in the order of its trainable tensors."""
    return [
        state[component][name].to(network.device, copy=True)
        for component in network.components
        for name in network.tensors(component)
    ]


def as_state(network: Network, values: Sequence[Tensor]) -> State:
    """The state whose `values_of` these are, on the CPU."""
    left = iter(values)
    return {
        component: {name: next(left).to("cpu", copy=True) for name in network.tensors(component)}
        for component in network.components
    }
