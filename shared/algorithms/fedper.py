"""FedPer: some components stay with each client."""

from typing import Annotated, Literal

from pydantic import Field

from shared.algorithms.spec import AlgorithmSpec

Family = Literal["encoder", "proj", "block", "domain", "mote", "mome", "head"]


class FedPerAlgorithm(AlgorithmSpec):
    """FedPer (Arivazhagan et al. 2019, arXiv 1912.00818): averaged but for the top."""

    name: Literal["fedper"]
    keeps: Annotated[tuple[Family, ...], Field(min_length=1)] = Field(
        default=("head",), description="What stays with each client: the first words of components."
    )

    def shares(self, component: str) -> bool:
        """All but what each client keeps."""
        return component.split(".", maxsplit=1)[0] not in self.keeps
