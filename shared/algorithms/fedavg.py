"""Federated averaging."""

from typing import Literal

from shared.algorithms.spec import AlgorithmSpec


class FedAvgAlgorithm(AlgorithmSpec):
    """Federated averaging of components; with local post-training unless switched off."""

    name: Literal["fedavg"]
    post_training: bool = True

    @property
    def personalizes(self) -> bool:
        """Where it trains on after the last round."""
        return self.post_training
