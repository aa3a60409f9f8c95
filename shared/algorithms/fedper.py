"""FedPer: some components stay with each client."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from shared.algorithms.spec import AlgorithmSpec

Family = Literal["encoder", "proj", "block", "domain", "mote", "mome", "head"]


class FedPerAlgorithm(AlgorithmSpec):
    """FedPer (Arivazhagan et al. 2019, arXiv 1912.00818): averaged but for the top."""

    name: Literal["fedper"]
    keeps: Annotated[tuple[Family, ...], Field(min_length=1)] = Field(
        default=("head",), description="What stays with each client: the first words of components."
    )

    @model_validator(mode="after")
    def _shares_something(self) -> Self:
        if set(self.keeps) == set(get_args(Family)):
            raise ValueError(
                "keeps names all that there is, so that nothing is averaged: leave one out, or "
                "choose algorithm local"
            )
        return self

    def shares(self, component: str) -> bool:
        """All but what each client keeps."""
        return component.split(".", maxsplit=1)[0] not in self.keeps
