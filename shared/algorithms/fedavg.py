"""Federated averaging."""

from typing import Literal

from pydantic import Field

from shared.algorithms.spec import OneModel


class FedAvgAlgorithm(OneModel):
    """Federated averaging of components; with local post-training unless switched off."""

    name: Literal["fedavg"]
    post_training: bool = Field(
        default=True, description="Stage two: clients train on alone after the last round."
    )

    @property
    def personalizes(self) -> bool:
        """Where it trains on after the last round."""
        return self.post_training
