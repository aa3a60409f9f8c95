"""The rounds of a job spec: how many, with whom, and what happens when clients are missing."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt, model_validator

from shared.spec import Spec


class RoundsSpec(Spec):
    """How many rounds, with whom, how long to wait, and for how many failures."""

    count: Annotated[int, Field(ge=1, le=100_000)]
    clients_per_round: PositiveInt | None = Field(default=None, description="Default: all.")
    over_selection: Annotated[FiniteFloat, Field(ge=1)] = Field(
        default=1.0,
        description="How many times clients_per_round are asked, all clients at most; the round "
        "closes when clients_per_round have been accepted, and the others are superseded.",
    )
    quorum: PositiveInt | None = Field(
        default=None,
        description="Accepted clients without which a round fails; default: all of the round.",
    )
    deadline: timedelta = Field(
        default=timedelta(hours=1), description="How long a round waits for its clients."
    )
    grace: timedelta | None = Field(
        default=None,
        description="How long a training round that has its quorum waits for the others; default: "
        "until its deadline.",
    )
    extensions: Annotated[int, Field(ge=0, le=10)] = Field(
        default=2,
        description="How often a round that misses its quorum gets another deadline, and a "
        "training round other clients in place of the missing ones.",
    )
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    failure_budget: NonNegativeInt | None = Field(
        default=None,
        description="How many assignments of clients may fail in the whole job; with one more the "
        "job fails. Default: any number.",
    )

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.deadline < timedelta(seconds=1):
            raise ValueError("deadline must be at least one second")
        if self.clients_per_round and self.quorum and self.quorum > self.clients_per_round:
            raise ValueError("quorum is larger than clients_per_round: lower it")
        if self.grace is not None and not timedelta(0) <= self.grace <= self.deadline:
            raise ValueError("grace must lie between zero and deadline: correct it or leave it out")
        return self
