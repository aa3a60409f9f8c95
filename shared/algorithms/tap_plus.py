"""TAP with those of its options switched on that measured no worse and spare clients harm."""

from typing import Literal

from pydantic import Field

from shared.algorithms.tap import TapOptions


class TapPlusAlgorithm(TapOptions):
    """TAP with the guard: each client's best of three models by its own validation samples.

    On average it is not told apart from TAP, at the same training (docs/findings.md).
    """

    name: Literal["tap-plus"]
    guard: bool = Field(default=True, description=TapOptions.model_fields["guard"].description)
