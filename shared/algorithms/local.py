"""Training alone."""

from typing import Literal

from shared.algorithms.spec import OneModel


class LocalAlgorithm(OneModel):
    """Each client trains alone, with the same budget of optimizer steps."""

    name: Literal["local"]

    def shares(self, component: str) -> bool:  # noqa: ARG002 - whichever it is
        """Nothing leaves a client."""
        return False
