"""Training alone."""

from typing import Literal

from typing_extensions import override

from shared.algorithms.spec import AlgorithmSpec
from shared.components import Component


class LocalAlgorithm(AlgorithmSpec):
    """Each client trains alone, with the same budget of optimizer steps."""

    name: Literal["local"]

    @override
    def shares(self, component: Component) -> bool:
        """Nothing leaves a client."""
        return False
