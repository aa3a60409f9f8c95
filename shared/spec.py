"""What every part of a job spec is, and the values that many of them have."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from shared.components import NAME_PATTERN


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must have no NUL character; remove it")
    return text


Name = Annotated[str, StringConstraints(pattern=rf"^{NAME_PATTERN}$")]
Title = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_storable)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

Count = Annotated[int, Field(ge=1, le=1_000_000)]  # of steps, samples, clients
LayerCount = Annotated[int, Field(ge=1, le=100)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]


class Spec(BaseModel):
    """A frozen part of the job spec; unknown fields are refused, and numbers without an end."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
