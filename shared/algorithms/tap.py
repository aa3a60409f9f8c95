"""Two-Stage Adaptive Personalization."""

from typing import Literal

from pydantic import PositiveFloat

from shared.algorithms.spec import AlgorithmSpec


class TapAlgorithm(AlgorithmSpec):
    """Two-Stage Adaptive Personalization (arXiv 2509.26524)."""

    name: Literal["tap"]
    temperature: PositiveFloat = 1.0
