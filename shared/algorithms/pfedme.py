"""pFedMe: personal models by Moreau envelopes."""

from typing import Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from shared.algorithms.spec import AlgorithmSpec
from shared.spec import Count

_ROUNDING = 1e-9


class PFedMeAlgorithm(AlgorithmSpec):
    """pFedMe (Dinh et al. 2020, arXiv 2006.08848), its server's mixing rate being 1.

    The paper's lambda of 15 and eta of 0.005 make w a plain gradient descent of rate eta, by which
    a pretrained transformer learns nothing in tens of rounds (docs/findings.md): the defaults are
    what was best here, a weak pull and w moved all the way.
    """

    name: Literal["pfedme"]
    strength: PositiveFloat = Field(
        default=0.01, description="lambda of the pull of the personal model towards the engaged."
    )
    inner_steps: Count = Field(
        default=5, description="K, optimizer steps of the personal model for each of the engaged."
    )
    rate: PositiveFloat = Field(
        default=100.0,
        description="eta: the engaged model moves by eta lambda (w - theta), all the way at most.",
    )

    @model_validator(mode="after")
    def _not_too_far(self) -> Self:
        share = self.rate * self.strength
        if share > 1 + _ROUNDING:
            raise ValueError(
                f"rate times strength is {share:g}: the engaged model would move beyond the "
                f"personal one; give a rate of {1 / self.strength:g} at most"
            )
        return self

    def check_budget(self, local_steps: int) -> None:
        """The engaged model moves after each K steps only."""
        if local_steps % self.inner_steps:
            raise ValueError(
                f"algorithm.inner_steps is {self.inner_steps}, which does not divide "
                f"training.local_steps, {local_steps}: the engaged model would miss the steps that "
                "are left over; change one of them"
            )
