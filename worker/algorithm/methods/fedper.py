"""FedPer (Arivazhagan et al. 2019): one model, of which some components stay with the client."""

from typing_extensions import override

from shared.algorithms.fedper import FedPerAlgorithm
from shared.results import Variant
from worker.algorithm.method import Method, Outcome, Personal, task_losses
from worker.models.network import State


class FedPer(Method[FedPerAlgorithm]):
    """X is the server's components with the client's own; all train together."""

    @override
    def round(self, server: State, personal: Personal, number: int) -> Outcome:
        """Train X; what is shared of it is uploaded."""
        model, losses = self.trainer.local_steps(self._own(server, personal), number, "engaged")
        shared = {name: part for name, part in model.items() if self.options.shares(name)}
        kept = Personal({Variant.PERSONAL: model}, losses, self.trainer.reads)
        return Outcome(shared, kept, task_losses(engaged=losses))

    @override
    def personalize(self, server: State, personal: Personal) -> Outcome:
        """The last steps, all components together."""
        start = self._own(server, personal)
        trained, losses = self.trainer.post_steps(start)
        models = {Variant.PERSONAL: start, Variant.POST_TRAINED: trained}
        return Outcome(None, Personal(models), task_losses(engaged=losses))

    @override
    def final_models(self, server: State, personal: Personal) -> dict[Variant, State]:
        """The client's own: the server's alone has nothing where clients keep theirs."""
        return dict(personal.models)

    def _own(self, server: State, personal: Personal) -> State:
        """The server's components, and the client's in place of those that it keeps."""
        mine = personal.model or {}
        kept = {n: part for n, part in mine.items() if not self.options.shares(n)}
        return {**server, **kept}


METHOD = FedPer
