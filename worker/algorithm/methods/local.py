"""Training alone: nothing is pulled after version 0, nothing is uploaded."""

from typing_extensions import override

from shared.algorithms.local import LocalAlgorithm
from shared.results import Variant
from worker.algorithm.method import Method, Outcome, Personal, task_losses
from worker.models.network import State


class Local(Method[LocalAlgorithm]):
    """Each client by itself, with the same budget or, if asked, TAP's."""

    @override
    def round(self, server: State, personal: Personal, number: int) -> Outcome:
        """Train Z on from where it is."""
        start = server if personal.model is None else personal.model
        times = self.options.times
        model, losses = self.trainer.local_steps(start, number, "personal", times=times)
        kept = Personal({Variant.PERSONAL: model}, losses, self.trainer.reads)
        return Outcome(None, kept, task_losses(personal=losses))

    @override
    def personalize(self, server: State, personal: Personal) -> Outcome:
        """The steps that all others get at the end."""
        start = server if personal.model is None else personal.model
        trained, losses = self.trainer.post_steps(start, times=self.options.times)
        models = {Variant.PERSONAL: start, Variant.POST_TRAINED: trained}
        return Outcome(None, Personal(models), task_losses(personal=losses))

    @override
    def final_models(self, server: State, personal: Personal) -> dict[Variant, State]:
        """The client's own; it has no use for the server's."""
        return dict(personal.models)


METHOD = Local
