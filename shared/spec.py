"""What every part of a job spec is, and the values that many of them have."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

from shared.components import NAME_PATTERN

Name = Annotated[str, StringConstraints(pattern=rf"^{NAME_PATTERN}$")]
Title = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Spec(BaseModel):
    """A frozen part of the job spec; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
