"""Training alone."""

from typing import Literal

from shared.algorithms.spec import AlgorithmSpec
from shared.components import Component


class LocalAlgorithm(AlgorithmSpec):
    """Each client trains alone, with the same budget of optimizer steps."""

    name: Literal["local"]

    def shares(self, component: Component) -> bool:  # noqa: ARG002 - whichever it is
        """Nothing leaves a client."""
        return False
