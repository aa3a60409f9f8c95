"""What every part of a job spec is."""

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """A frozen part of the job spec; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
