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

    def check_budget(self, local_steps: int) -> None:
        """Each step looks ahead at one batch and goes by the next."""
        if local_steps % 2:
            raise ValueError(
                f"training.local_steps is {local_steps}, of which perfedavg takes two for each of "
                "its own: give an even number"
            )
