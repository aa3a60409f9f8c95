"""ViLT (Kim et al. 2021, arXiv 2102.03334) as a backbone: one stack, into which both modalities go.

What FLAVA has as encoders are embeddings here: patches or words, each with its position and the
type of its modality. The stack's layers are the fusion layers.
"""

import math
from dataclasses import dataclass
from typing import cast

from torch import Tensor, cat, nn
from torch.nn import functional
from transformers import ViltConfig, ViltImageProcessorPil, ViltModel

from shared.components import Modality
from shared.model_spec import RandomBase
from worker.data.tokenizer import Tokenizer
from worker.models.backbone import Backbone, stretched, view

_ORIGINAL_WIDTH = 768
_TEXT, _IMAGE = 0, 1  # rows of the table of modality types


class ViltImage(nn.Module):
    """Patches with positions and type. (B, 3, H, W) -> (B, 1 + patches, D)

    As the library's, but in the patches' own order, which the library shuffles. Positions of other
    image sizes are interpolated between the table's.
    """

    def __init__(self, embeddings: nn.Module) -> None:
        super().__init__()
        self.projection = embeddings.get_submodule("patch_embeddings.projection")
        self.cls_token = embeddings.get_parameter("cls_token")
        self.position_embeddings = embeddings.get_parameter("position_embeddings")
        self.type_embeddings = embeddings.get_submodule("token_type_embeddings")

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed images."""
        patches = self.projection(pixels)
        found = cat([self.cls_token.expand(len(pixels), -1, -1), _rows(patches)], dim=1)
        placed: Tensor = found + self._positions(*patches.shape[-2:])
        types = cast("Tensor", self.type_embeddings.weight)
        return placed + types[_IMAGE]

    def _positions(self, height: int, width: int) -> Tensor:
        side = math.isqrt(self.position_embeddings.shape[1] - 1)
        first, others = self.position_embeddings.split([1, side * side], dim=1)
        if (height, width) == (side, side):
            return self.position_embeddings
        table = others.transpose(1, 2).unflatten(2, (side, side))
        table = functional.interpolate(table, (height, width), mode="bilinear", align_corners=True)
        return cat([first, _rows(table)], dim=1)


class ViltText(nn.Module):
    """Words with positions and type. (B, S) -> (B, S, D)"""

    def __init__(self, embeddings: nn.Module) -> None:
        super().__init__()
        self.embeddings = embeddings.get_submodule("text_embeddings")
        self.type_embeddings = embeddings.get_submodule("token_type_embeddings")

    def forward(self, tokens: Tensor) -> Tensor:
        """Embed texts."""
        found: Tensor = self.embeddings(input_ids=tokens)
        types = cast("Tensor", self.type_embeddings.weight)
        return found + types[_TEXT]


@dataclass(frozen=True)
class Vilt(Backbone):
    """ViLT's modules."""

    model: ViltModel

    library = ViltModel
    processor = ViltImageProcessorPil
    words_path = "embeddings.word_embeddings"
    reading = {"add_pooling_layer": False}  # noqa: RUF012  # never changed

    @classmethod
    def random(cls, sizes: RandomBase, tokenizer: Tokenizer) -> "Vilt":
        """At small sizes; weights as large, relative to the width, as at the original's 768."""
        config = ViltConfig(
            vocab_size=tokenizer.vocab_size,
            pad_token_id=tokenizer.pad_id,
            hidden_size=sizes.hidden_size,
            num_attention_heads=sizes.heads,
            intermediate_size=4 * sizes.hidden_size,
            num_hidden_layers=sizes.fusion_layers,
            image_size=sizes.image_size,
            patch_size=sizes.patch_size,
            initializer_range=0.02 * math.sqrt(_ORIGINAL_WIDTH / sizes.hidden_size),
            max_image_length=-1,
        )
        return cls(ViltModel(config, add_pooling_layer=False))

    @property
    def heads(self) -> int:
        """Attention heads of the fusion layers."""
        return self.model.config.num_attention_heads

    @property
    def image_size(self) -> int:
        """Pixels of a side of the images that it was made for."""
        return cast("int", self.model.config.image_size)

    @property
    def patch_size(self) -> int:
        """Pixels of a side of a patch."""
        return cast("int", self.model.config.patch_size)

    @property
    def words(self) -> nn.Parameter:
        """The word embeddings. (V, D)"""
        return self.model.get_parameter("embeddings.text_embeddings.word_embeddings.weight")

    @property
    def fusion_layers(self) -> nn.ModuleList:
        """The layers of the stack."""
        return cast("nn.ModuleList", self.model.get_submodule("encoder.layer"))

    @property
    def fusion_norm(self) -> nn.Module:
        """What follows the last layer."""
        return self.model.get_submodule("layernorm")

    def encoder(self, modality: Modality, text_length: int) -> nn.Module:
        """The embedding of a modality."""
        embeddings = view(self.model.get_submodule("embeddings"))
        if modality is Modality.IMAGE:
            return ViltImage(embeddings)
        text = ViltText(embeddings)
        stretched(text.embeddings, text_length)
        return text

    def lora_targets(self, modality: Modality) -> list[str]:
        """Names of the layers of an embedding that get LoRA."""
        return ["projection"] if modality is Modality.IMAGE else []

    def norms(self, modality: Modality) -> list[str]:
        """Paths of the norms of an embedding that train whole beside LoRA."""
        return [] if modality is Modality.IMAGE else ["embeddings.LayerNorm"]

    def encode_image(self, encoder: nn.Module, pixels: Tensor) -> Tensor:
        """Features of images as the base expects them. (B, 3, H, W) -> (B, 1 + patches, D)"""
        found: Tensor = encoder(pixels)
        return found

    def encode_text(self, encoder: nn.Module, tokens: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG002  # each word is embedded alone
        """Features of texts; those of padding mean nothing. (B, S), (B, S) -> (B, S, D)"""
        found: Tensor = encoder(tokens)
        return found


def _rows(grid: Tensor) -> Tensor:
    """(B, D, H, W) -> (B, H * W, D)"""
    return grid.flatten(2).transpose(1, 2)
