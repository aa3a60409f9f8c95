"""The rounds of a job spec: how many, with whom, and what happens when clients are missing."""

from datetime import timedelta
from typing import Annotated

from pydantic import (
    Field,
    FiniteFloat,
    ValidationInfo,
    field_validator,
)

from shared.spec import Count, Spec

_SECOND, _YEAR = timedelta(seconds=1), timedelta(days=365)


class RoundsSpec(Spec):
    """How many rounds, with whom, how long to wait, and for how many failures."""

    count: Annotated[int, Field(ge=1, le=100_000)] = Field(
        description="Rounds of stage one; after the last of them comes stage two."
    )
    clients_per_round: Count | None = Field(
        default=None, description="Clients whose work a round uses. Default: all."
    )
    over_selection: Annotated[FiniteFloat, Field(ge=1)] = Field(
        default=1.0,
        description="How many times clients_per_round are asked, all clients at most; the round "
        "closes when clients_per_round have been accepted, and the others are superseded.",
    )
    quorum: Count | None = Field(
        default=None,
        description="Accepted clients without which a round fails; default: all of the round.",
    )
    deadline: Annotated[timedelta, Field(ge=_SECOND, le=_YEAR)] = Field(
        default=timedelta(hours=1),
        description="How long a round waits for its clients: a second to a year.",
    )
    grace: Annotated[timedelta, Field(ge=timedelta(0))] | None = Field(
        default=None,
        description="How long a training round that has its quorum waits for the others; default: "
        "until its deadline.",
    )
    extensions: Annotated[int, Field(ge=0, le=10)] = Field(
        default=2,
        description="How often a round that misses its quorum gets another deadline, and a "
        "training round other clients in place of the missing ones.",
    )
    max_attempts: Annotated[int, Field(ge=1, le=100)] = Field(
        default=3, description="How often an assignment may be begun before it has failed."
    )
    failure_budget: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        default=None,
        description="How many assignments of clients may fail in the whole job; with one more the "
        "job fails. Default: any number.",
    )

    @field_validator("quorum")
    @classmethod
    def _quorum_fits(cls, quorum: int | None, info: ValidationInfo) -> int | None:
        most = info.data.get("clients_per_round")
        if most and quorum and quorum > most:
            raise ValueError(f"must be at most clients_per_round, which is {most}; lower it")
        return quorum

    @field_validator("grace")
    @classmethod
    def _grace_fits(cls, grace: timedelta | None, info: ValidationInfo) -> timedelta | None:
        deadline = info.data.get("deadline")
        if deadline and grace and grace > deadline:
            raise ValueError("must be at most the deadline; lower it or leave it out")
        return grace
