"""TAP with those of its options switched on that do better than the paper's defaults."""

from typing import Literal

from pydantic import Field

from shared.algorithms.tap import TapOptions


class TapPlusAlgorithm(TapOptions):
    """TAP with the options that measured better (docs/findings.md): the guard."""

    name: Literal["tap-plus"]
    guard: bool = Field(default=True, description=TapOptions.model_fields["guard"].description)
