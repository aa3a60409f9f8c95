"""pFedMe: personal models by Moreau envelopes."""

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from shared.algorithms.spec import AlgorithmSpec


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
    inner_steps: PositiveInt = Field(
        default=5, description="K, optimizer steps of the personal model for each of the engaged."
    )
    rate: PositiveFloat = Field(
        default=100.0, description="eta: the engaged model moves by eta lambda (w - theta)."
    )

    def check_budget(self, local_steps: int) -> None:
        """The engaged model moves after each K steps only."""
        if local_steps % self.inner_steps:
            raise ValueError(
                f"algorithm.inner_steps is {self.inner_steps}, which does not divide "
                f"training.local_steps, {local_steps}: the engaged model would miss the steps that "
                "are left over; change one of them"
            )
