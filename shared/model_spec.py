"""The model of a job spec: the backbone, and what of it trains."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from shared.components import Layers
from shared.presets import BASES, BUILTIN, Preset, filled_in
from shared.spec import Count, LayerCount, Seed, Sha256, Spec, Title

Rank = Annotated[int, Field(ge=1, le=1024)]


class LowRank(Spec):
    """Rank and scale of a LoRA."""

    rank: Rank = Field(description="Rank of the factors A and B.")
    alpha: PositiveFloat = Field(description="Their product is scaled by alpha / rank.")


class LoraSpec(Spec):
    """LoRA on the base's own modules; the defaults are the paper's for FLAVA."""

    encoder: LowRank = Field(
        default=LowRank(rank=8, alpha=16), description="Of the encoders of images and texts."
    )
    expert: LowRank = Field(
        default=LowRank(rank=4, alpha=8), description="Of the feed-forward experts."
    )
    attention: LowRank = Field(
        default=LowRank(rank=16, alpha=32),
        description="Of queries and values of the MoTE and MoME blocks.",
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.3, description="Share of a layer's inputs that its LoRA does not see in training."
    )


class RandomBase(Spec):
    """Sizes of a base with random weights, for tests and demonstrations."""

    hidden_size: Annotated[int, Field(ge=8, le=16_384, multiple_of=8)] = Field(
        default=64, description="Width of a token's features."
    )
    heads: Count = Field(default=4, description="Attention heads; they divide `hidden_size`.")
    image_layers: LayerCount | None = Field(default=None, description="FLAVA only; default: 2.")
    text_layers: LayerCount | None = Field(default=None, description="FLAVA only; default: 2.")
    fusion_layers: LayerCount = Field(
        default=2, description="Layers over both modalities; all of a ViLT's."
    )
    image_size: Annotated[int, Field(ge=8, le=1024)] = Field(
        default=64, description="Pixels of a side of an image."
    )
    patch_size: Count = Field(
        default=8, description="Pixels of a side of a patch; it divides `image_size`."
    )
    seed: Seed = Field(default=0, description="Of the random weights.")

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.image_size % self.patch_size:
            raise ValueError("patch_size must divide image_size: choose another")
        if self.hidden_size % self.heads:
            raise ValueError("heads must divide hidden_size: choose another")
        return self


Family = Literal["flava", "vilt"]


class ModelSpec(Spec):
    """The backbone and what of it trains."""

    preset: Preset | None = Field(
        default=None, description="Named settings, beneath whatever else is given."
    )
    family: Family = Field(default="flava", description="The base's architecture.")
    weights: Title = Field(
        default="random",
        description="`random`, `builtin:NAME`, a directory in the hub's format, or a hub name.",
    )
    random: RandomBase = RandomBase()
    digest: Sha256 | None = Field(
        default=None,
        description="Digest that the base must have; taken from the planner if absent.",
    )
    image_size: Annotated[int, Field(ge=8, le=1024)] | None = Field(
        default=None,
        description="Pixels to which a side of an image is scaled; the base's own if absent.",
    )
    trainable: Literal["lora", "full"] = Field(
        default="lora",
        description="What trains of the base: low-rank pairs beside its layers, or all of them.",
    )
    train_embeddings: bool = Field(
        default=False, description="Train and send the word embeddings too; with trainable: full."
    )
    lora: LoraSpec = LoraSpec()
    mote_layers: LayerCount = Field(
        default=1, description="Layers of modality-task experts; made of the base's fusion layers."
    )
    mome_layers: LayerCount = Field(
        default=1, description="Layers of task-modality experts, behind them."
    )
    domain_rank: Rank = Field(
        default=4, description="Rank of what a domain expert adds to queries and values."
    )
    decoder_layers: LayerCount = Field(default=1, description="Layers of the text decoder.")
    decoder_width: Annotated[int, Field(ge=8, le=16_384, multiple_of=8)] = Field(
        default=256, description="Width of the text decoder; the base's where that is narrower."
    )
    max_text_tokens: Annotated[int, Field(ge=4, le=512)] = Field(
        default=40, description="Tokens of a text that is read; what is longer is cut."
    )

    @property
    def layers(self) -> Layers:
        """Numbers of MoTE and MoME layers."""
        return Layers(self.mote_layers, self.mome_layers)

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: Any) -> Any:
        return filled_in(given) if isinstance(given, Mapping) else given

    @model_validator(mode="after")
    def _comes_with_tapestry(self) -> Self:
        name = self.weights.removeprefix(BUILTIN)
        if name != self.weights and name not in BASES:
            known = " and ".join(f"{BUILTIN}{each}" for each in BASES)
            raise ValueError(f"no base {name!r} comes with Tapestry: there are {known}")
        return self

    @model_validator(mode="after")
    def _vilt_has_one_stack(self) -> Self:
        layers = (self.random.image_layers, self.random.text_layers)
        if self.family == "vilt" and layers != (None, None):
            raise ValueError(
                "a ViLT has one stack of layers: give random.fusion_layers, without image_layers "
                "and text_layers"
            )
        return self

    @model_validator(mode="after")
    def _embeddings_need_full(self) -> Self:
        if self.train_embeddings and self.trainable != "full":
            raise ValueError("train_embeddings needs trainable: full; set it or leave this out")
        return self
