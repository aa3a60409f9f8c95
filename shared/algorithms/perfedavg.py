"""Per-FedAvg: a start from which few steps suffice."""

from typing import Literal

from pydantic import Field, PositiveFloat

from shared.algorithms.spec import AlgorithmSpec


class PerFedAvgAlgorithm(AlgorithmSpec):
    """Per-FedAvg, first order (Fallah et al. 2020, arXiv 2002.07948)."""

    name: Literal["perfedavg"]
    rate: PositiveFloat = Field(
        default=0.01, description="alpha of the gradient step that is looked ahead."
    )
