"""FedSA-LoRA (Guo et al. 2025, arXiv 2410.01463): A is shared, each client keeps its own B.

Around any algorithm: the engaged model is the server's with the client's own second factors, which
stay on the client's disk as part of its engaged model.
"""

from dataclasses import dataclass, replace
from typing import Any

from typing_extensions import override

from shared.results import Variant
from worker.algorithm.method import Method, Outcome, Personal
from worker.artifacts import own_factors
from worker.models.network import State


@dataclass(frozen=True)
class OwnFactors(Method[Any]):
    """Puts the client's own factors into what an algorithm begins with, and keeps them after it."""

    inner: Method[Any]

    @override
    def round(self, server: State, personal: Personal, number: int) -> Outcome:
        """The algorithm's round; without the client's own factors its engaged model is sent."""
        whole = self._whole(server, personal)
        outcome = self.inner.round(whole, _without(personal), number)
        if outcome.engaged is None:
            return outcome
        kept = _with(outcome.personal, {**whole, **outcome.engaged})
        return replace(outcome, engaged=self._sent(outcome.engaged), personal=kept)

    @override
    def personalize(self, server: State, personal: Personal) -> Outcome:
        """The algorithm's stage two."""
        whole = self._whole(server, personal)
        outcome = self.inner.personalize(whole, _without(personal))
        return replace(outcome, personal=_with(outcome.personal, whole))

    @override
    def final_models(self, server: State, personal: Personal) -> dict[Variant, State]:
        """The algorithm's; the engaged one has the client's own factors."""
        return self.inner.final_models(self._whole(server, personal), _without(personal))

    def _whole(self, server: State, personal: Personal) -> State:
        """The server's model with the client's own factors, once it has trained some."""
        mine = personal.models.get(Variant.ENGAGED, {})
        spec = self.trainer.spec
        return {
            name: {t: mine[name][t] if t in own_factors(spec, part) else v for t, v in part.items()}
            if name in mine
            else part
            for name, part in server.items()
        }

    def _sent(self, engaged: State) -> State:
        spec = self.trainer.spec
        return {
            name: {t: v for t, v in part.items() if t not in own_factors(spec, part)}
            for name, part in engaged.items()
        }


def _with(personal: Personal, engaged: State) -> Personal:
    return replace(personal, models={**personal.models, Variant.ENGAGED: engaged})


def _without(personal: Personal) -> Personal:
    """What the algorithm itself keeps."""
    models = dict(personal.models)
    models.pop(Variant.ENGAGED, None)
    return replace(personal, models=models)
