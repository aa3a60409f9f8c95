"""Ditto: a personal model beside the averaged one, pulled towards it."""

from typing import Literal

from pydantic import Field, PositiveFloat

from shared.algorithms.spec import AlgorithmSpec


class DittoAlgorithm(AlgorithmSpec):
    """Ditto (Li et al. 2021, arXiv 2012.04221). The default was best here of 0.1, 1 and 10."""

    name: Literal["ditto"]
    strength: PositiveFloat = Field(
        default=1.0, description="lambda of the pull lambda / 2 |z - w|^2 towards the server's w."
    )
