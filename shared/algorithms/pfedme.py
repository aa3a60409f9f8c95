"""pFedMe: personal models by Moreau envelopes."""

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from shared.algorithms.spec import AlgorithmSpec


class PFedMeAlgorithm(AlgorithmSpec):
    """pFedMe (Dinh et al. 2020, arXiv 2006.08848), its server's mixing rate being 1."""

    name: Literal["pfedme"]
    strength: PositiveFloat = Field(
        default=15.0, description="lambda of the pull of the personal model towards the engaged."
    )
    inner_steps: PositiveInt = Field(
        default=5, description="K, optimizer steps of the personal model for each of the engaged."
    )
    rate: PositiveFloat = Field(
        default=0.005, description="eta: the engaged model moves by eta lambda (w - theta)."
    )
