"""Federated averaging: the server's model, trained on and, at the end, trained alone."""

from typing_extensions import override

from shared.algorithms.fedavg import FedAvgAlgorithm
from worker.algorithm.averaging import Averaging


class FedAvg(Averaging[FedAvgAlgorithm]):
    """FedAvg (McMahan et al. 2017), with local post-training in stage two."""

    @property
    @override
    def times(self) -> int:
        """With equal compute the steps of TAP's two models."""
        return 2 if self.options.equal_compute else 1


METHOD = FedAvg
