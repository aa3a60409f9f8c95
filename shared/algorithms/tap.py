"""Two-Stage Adaptive Personalization, with its controls and the options beyond the paper."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, NonNegativeFloat, model_validator

from shared.algorithms.spec import AlgorithmSpec


class TapOptions(AlgorithmSpec):
    """What Two-Stage Adaptive Personalization (arXiv 2509.26524) may be asked for."""

    temperature: Annotated[FiniteFloat, Field(gt=0)] = Field(
        default=1.0, description="T of distillation: logits of both models are divided by it."
    )
    replacement: Literal["adaptive", "always", "never", "random"] = Field(
        default="adaptive",
        description="When a task's components are taken over from the engaged model; all but "
        "`adaptive` are controls.",
    )
    replacement_rate: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="How likely `random` replaces a task in a round."
    )
    signal: Literal["train", "validation"] = Field(
        default="train",
        description="What losses are compared: means over each model's own training, or both "
        "models on the validation split.",
    )
    margin: Literal["absolute", "relative", "auto"] = Field(
        default="absolute",
        description="A task's margin is a difference of losses, a share of the personal loss, or "
        "`standard_errors` of the losses' difference, sample by sample.",
    )
    standard_errors: NonNegativeFloat | None = Field(
        default=None, description="Of margin `auto`; 1 unless told."
    )
    shared_components: Literal["any", "all", "never"] = Field(
        default="any",
        description="A component of several tasks of a client is taken over when any of them "
        "replaces, only when all do, or never.",
    )
    distillation: bool = Field(default=True, description="Without it stage two trains plainly.")
    teacher: Literal["always", "better"] = Field(
        default="always",
        description="Distillation is from the locally trained engaged model at all of a client's "
        "tasks, or at those where it is better than the personal model on the validation samples.",
    )
    guard: bool = Field(
        default=False,
        description="For each task the client's best of three on its validation samples is chosen "
        "after stage two: distilled, personal or locally trained engaged model.",
    )

    @property
    def replaces(self) -> bool:
        """In stage one."""
        return True

    @property
    def distils(self) -> bool:
        """Unless it is switched off."""
        return self.distillation

    def unheard(self, weighted: Sequence[str]) -> tuple[str, ...]:
        """The weights, and the temperature."""
        default = type(self).model_fields["temperature"].default
        own = self.temperature != default and not self.distillation
        return (*super().unheard(weighted), *(["algorithm.temperature"] if own else []))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.replacement == "random") != (self.replacement_rate is not None):
            raise ValueError(
                "replacement_rate belongs to replacement: random, which needs it: give both or none"
            )
        if self.margin == "auto" and self.signal != "validation":
            raise ValueError(
                "margin: auto compares the same samples: add signal: validation, or choose another"
            )
        if self.standard_errors is not None and self.margin != "auto":
            raise ValueError("standard_errors belongs to margin: auto: add that or leave it out")
        if self.teacher != "always" and not self.distillation:
            raise ValueError("teacher belongs to distillation, which is off: leave one of them out")
        if self.replacement != "adaptive" and (self.signal, self.margin) != ("train", "absolute"):
            raise ValueError(
                "signal and margin belong to replacement: adaptive: leave them out or choose that"
            )
        if self.replacement == "never" and self.shared_components != "any":
            raise ValueError(
                "shared_components says what is taken over, which replacement: never forbids: "
                "leave one of them out"
            )
        return self


class TapAlgorithm(TapOptions):
    """TAP as the paper has it: every default is the paper's."""

    name: Literal["tap"]
