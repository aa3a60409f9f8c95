"""What FedAvg and its relatives do at a client: they differ in the rule of a round's training."""

from typing import Generic

from typing_extensions import override

from shared.results import Variant
from worker.algorithm.method import Method, Options, Outcome, Personal, task_losses
from worker.models.network import State
from worker.training.loop import Rule


class Averaging(Method[Options], Generic[Options]):
    """X is trained and averaged; at the end the last version is trained plainly, locally."""

    def rule(self) -> Rule | None:
        """How X is trained in a round; without one by the plain loss."""
        return None

    @override
    def round(self, server: State, personal: Personal, number: int) -> Outcome:
        """Train X."""
        rule, times = self.rule(), self.options.times
        engaged, losses = self.trainer.local_steps(server, number, "engaged", rule, times)
        return Outcome(engaged, personal, task_losses(engaged=losses))

    @override
    def personalize(self, server: State, personal: Personal) -> Outcome:
        """Train the last server model on the client's data."""
        trained, losses = self.trainer.post_steps(server, times=self.options.times)
        models = {Variant.POST_TRAINED: trained}
        return Outcome(None, Personal(models), task_losses(engaged=losses))
