"""Federated averaging: the server's model, trained on and, at the end, trained alone."""

from shared.algorithms.fedavg import FedAvgAlgorithm
from worker.algorithm.averaging import Averaging


class FedAvg(Averaging[FedAvgAlgorithm]):
    """FedAvg (McMahan et al. 2017), with local post-training in stage two."""


METHOD = FedAvg
