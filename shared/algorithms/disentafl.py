"""DisentAFL: federated averaging with disentangled modality-task streams."""

from typing import Literal

from pydantic import Field, PositiveFloat

from shared.algorithms.spec import AlgorithmSpec


class DisentAflAlgorithm(AlgorithmSpec):
    """DisentAFL as TAP's authors compare with it."""

    name: Literal["disentafl"]
    post_training: bool = Field(
        default=True, description="Stage two: clients train on alone after the last round."
    )
    strength: PositiveFloat = Field(
        default=0.5, description="Weight of the mean squared cosine between streams."
    )

    @property
    def personalizes(self) -> bool:
        """Where it trains on after the last round."""
        return self.post_training
