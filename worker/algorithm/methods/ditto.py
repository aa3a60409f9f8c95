"""Ditto (Li et al. 2021): a personal model that trains beside the averaged one, and near it."""

from typing_extensions import override

from shared.algorithms.ditto import DittoAlgorithm
from shared.results import Variant
from worker.algorithm.method import Method, Outcome, Personal, task_losses
from worker.algorithm.pull import Pull
from worker.models.network import State


class Ditto(Method[DittoAlgorithm]):
    """X as in FedAvg; Z by its own loss + lambda / 2 |z - w|^2, w being the round's version."""

    @override
    def round(self, server: State, personal: Personal, number: int) -> Outcome:
        """Train X from w, and Z from where it is."""
        engaged, engaged_losses = self.trainer.local_steps(server, number, "engaged")
        start = server if personal.model is None else personal.model
        model, losses = self.trainer.local_steps(start, number, "personal", self._pull(server))
        kept = Personal({Variant.PERSONAL: model}, losses, self.trainer.reads)
        return Outcome(engaged, kept, task_losses(engaged_losses, losses))

    @override
    def personalize(self, server: State, personal: Personal) -> Outcome:
        """Z's last steps, near the last version."""
        start = server if personal.model is None else personal.model
        trained, losses = self.trainer.post_steps(start, rule=self._pull(server))
        models = {Variant.PERSONAL: start, Variant.POST_TRAINED: trained}
        return Outcome(None, Personal(models), task_losses(personal=losses))

    def _pull(self, server: State) -> Pull:
        return Pull(self.trainer, server, self.options.strength)


METHOD = Ditto
