"""Federated averaging: the server's model, trained on and, at the end, trained alone."""

from typing_extensions import override

from shared.algorithms.fedavg import FedAvgAlgorithm
from shared.results import Variant
from worker.algorithm.method import Method, Outcome, Personal, task_losses
from worker.models.network import State


class FedAvg(Method[FedAvgAlgorithm]):
    """FedAvg (McMahan et al. 2017), with local post-training in stage two."""

    @override
    def round(self, server: State, personal: Personal, number: int) -> Outcome:
        """Train X."""
        engaged, losses = self.trainer.local_steps(server, number, "engaged")
        return Outcome(engaged, personal, task_losses(engaged=losses))

    @override
    def personalize(self, server: State, personal: Personal) -> Outcome:
        """Train the last server model on the client's data."""
        trained, losses = self.trainer.post_steps(server)
        models = {Variant.POST_TRAINED: trained}
        return Outcome(None, Personal(models), task_losses(engaged=losses))


METHOD = FedAvg
