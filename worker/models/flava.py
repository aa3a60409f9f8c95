"""FLAVA (Singh et al. 2022, arXiv 2112.04482) as a backbone: two encoders and fusion layers."""

import math
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn
from transformers import FlavaConfig, FlavaImageProcessorPil, FlavaModel

from shared.components import Modality
from shared.model_spec import RandomBase
from worker.data.tokenizer import Tokenizer
from worker.models.backbone import Backbone, stretched, view

_ORIGINAL_WIDTH = 768
_LAYERS = 2  # of each encoder of a random base that says nothing else


@dataclass(frozen=True)
class Flava(Backbone):
    """FLAVA's modules."""

    model: FlavaModel

    library = FlavaModel
    processor = FlavaImageProcessorPil
    words_path = "embeddings.word_embeddings"

    @classmethod
    def random(cls, sizes: RandomBase, tokenizer: Tokenizer) -> "Flava":
        """At small sizes; weights as large, relative to the width, as at the original's 768."""
        spread = 0.02 * math.sqrt(_ORIGINAL_WIDTH / sizes.hidden_size)
        common: dict[str, Any] = {
            "hidden_size": sizes.hidden_size,
            "num_attention_heads": sizes.heads,
            "intermediate_size": 4 * sizes.hidden_size,
            "initializer_range": spread,
        }
        image = {"image_size": sizes.image_size, "patch_size": sizes.patch_size}
        config = FlavaConfig(
            image_config={**common, **image, "num_hidden_layers": sizes.image_layers or _LAYERS},
            text_config={
                **common,
                "num_hidden_layers": sizes.text_layers or _LAYERS,
                "vocab_size": tokenizer.vocab_size,
                "pad_token_id": tokenizer.pad_id,
            },
            multimodal_config={**common, "num_hidden_layers": sizes.fusion_layers},
            hidden_size=sizes.hidden_size,
            projection_dim=sizes.hidden_size,
            initializer_range=spread,
        )
        return cls(FlavaModel(config))

    @property
    def heads(self) -> int:
        """Attention heads of the fusion layers."""
        return int(_part(self.model.config, "multimodal").num_attention_heads)

    @property
    def image_size(self) -> int:
        """Pixels of a side of the images that it was made for."""
        return int(_part(self.model.config, "image").image_size)

    @property
    def patch_size(self) -> int:
        """Pixels of a side of a patch."""
        return int(_part(self.model.config, "image").patch_size)

    @property
    def words(self) -> nn.Parameter:
        """The word embeddings. (V, D)"""
        weight = self.model.text_model.embeddings.word_embeddings.weight
        return cast("nn.Parameter", weight)

    @property
    def fusion_layers(self) -> nn.ModuleList:
        """The layers of the multimodal encoder."""
        return self.model.multimodal_model.encoder.layer

    @property
    def fusion_norm(self) -> nn.Module:
        """What follows the last fusion layer."""
        return cast("nn.Module", self.model.multimodal_model.layernorm)

    def encoder(self, modality: Modality, text_length: int) -> nn.Module:
        """The encoder of a modality, without its pooler and mask token, which nothing uses."""
        encoder = view(self.model.get_submodule(f"{modality}_model"))
        encoder.register_module("pooler", None)
        if modality is Modality.IMAGE:
            encoder.get_submodule("embeddings").register_parameter("mask_token", None)
        if modality is Modality.TEXT:
            stretched(encoder.get_submodule("embeddings"), text_length)
        return encoder

    def lora_targets(self, modality: Modality) -> list[str]:  # noqa: ARG002  # both are alike
        """Names of the layers of an encoder that get LoRA."""
        return ["query", "value"]

    def norms(self, modality: Modality) -> list[str]:  # noqa: ARG002  # both are alike
        """Paths of the norms of an encoder that train whole beside LoRA."""
        return ["layernorm"]

    def encode_image(self, encoder: nn.Module, pixels: Tensor) -> Tensor:
        """Features of images as the base expects them. (B, 3, H, W) -> (B, 1 + patches, D)"""
        other = pixels.shape[-1] != self.image_size
        found: Tensor = encoder(
            pixel_values=pixels, interpolate_pos_encoding=other
        ).last_hidden_state
        return found

    def encode_text(self, encoder: nn.Module, tokens: Tensor, mask: Tensor) -> Tensor:
        """Features of texts; those of padding mean nothing. (B, S), (B, S) -> (B, S, D)"""
        found: Tensor = encoder(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        return found


def _part(config: FlavaConfig, name: str) -> Any:
    """A part of FLAVA's configuration, which is always complete once the model is there."""
    return getattr(config, f"{name}_config")
