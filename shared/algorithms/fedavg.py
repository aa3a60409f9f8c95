"""Federated averaging."""

from typing import Literal

from pydantic import Field

from shared.algorithms.spec import AlgorithmSpec


class FedAvgAlgorithm(AlgorithmSpec):
    """Federated averaging of components; with local post-training unless switched off."""

    name: Literal["fedavg"]
    post_training: bool = Field(
        default=True, description="Stage two: clients train on alone after the last round."
    )
    equal_compute: bool = Field(
        default=False,
        description="Twice the steps, in rounds and at the end: as many as TAP, which trains two "
        "models.",
    )

    @property
    def personalizes(self) -> bool:
        """Where it trains on after the last round."""
        return self.post_training

    @property
    def times(self) -> int:
        """With equal compute the one model has the steps of TAP's two."""
        return 2 if self.equal_compute else 1
