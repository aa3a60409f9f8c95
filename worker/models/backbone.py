"""What the network needs of a family of pretrained models, whichever it is."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from shared.components import Modality
from shared.model_spec import RandomBase
from worker.data.tokenizer import Tokenizer

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Backbone(ABC):
    """A family's pretrained modules. Layers of all families have the same inner names."""

    model: PreTrainedModel
    library: ClassVar[type[PreTrainedModel]]
    processor: ClassVar[Any]  # the library's image processor
    words_path: ClassVar[str]  # of the word embeddings, in the text encoder
    reading: ClassVar[Mapping[str, Any]] = {}  # what the library is told when it reads weights

    @classmethod
    @abstractmethod
    def random(cls, sizes: RandomBase, tokenizer: Tokenizer) -> Self:
        """With random weights, of these sizes."""

    @property
    def width(self) -> int:
        """D, the size of a token's features."""
        return int(self.model.config.hidden_size)

    @property
    @abstractmethod
    def heads(self) -> int:
        """Attention heads of the fusion layers."""

    @property
    @abstractmethod
    def image_size(self) -> int:
        """Pixels of a side of the images that it was made for."""

    @property
    @abstractmethod
    def patch_size(self) -> int:
        """Pixels of a side of a patch."""

    @property
    @abstractmethod
    def words(self) -> nn.Parameter:
        """The word embeddings. (V, D)"""

    @cached_property
    def unit_words(self) -> nn.Parameter:
        """The word embeddings, scaled to unit variance, frozen; made on the CPU. (V, D)"""
        words = _on_cpu(self.words)
        return nn.Parameter(words / words.std(), requires_grad=False)

    @property
    @abstractmethod
    def fusion_layers(self) -> nn.ModuleList:
        """The layers from which blocks and experts are made."""

    @property
    @abstractmethod
    def fusion_norm(self) -> nn.Module:
        """What follows the last fusion layer."""

    @abstractmethod
    def encoder(self, modality: Modality, text_length: int) -> nn.Module:
        """A view of a modality's encoder with what is used of it; texts up to that length."""

    @abstractmethod
    def lora_targets(self, modality: Modality) -> list[str]:
        """Names of the layers of an encoder that get LoRA."""

    @abstractmethod
    def norms(self, modality: Modality) -> list[str]:
        """Paths of the norms of an encoder that train whole beside LoRA."""

    @abstractmethod
    def encode_image(self, encoder: nn.Module, pixels: Tensor) -> Tensor:
        """Features of images as the base expects them. (B, 3, H, W) -> (B, 1 + patches, D)"""

    @abstractmethod
    def encode_text(self, encoder: nn.Module, tokens: Tensor, mask: Tensor) -> Tensor:
        """Features of texts; those of padding mean nothing. (B, S), (B, S) -> (B, S, D)"""


def view(module: M) -> M:
    """A copy of a module's structure that shares its parameters, so that they exist once."""
    return copy.deepcopy(module, {id(p): p for p in module.parameters()})


def trainable_copy(module: M) -> M:
    """A copy with weights of its own, which train."""
    return copy.deepcopy(module).requires_grad_()


def _on_cpu(weight: Tensor) -> Tensor:
    """A frozen weight where all bits are made; one without values, whose sizes are asked, stays."""
    return weight.detach() if weight.is_meta else weight.detach().cpu()


def stretched(embeddings: nn.Module, length: int) -> None:
    """Give the library's text embeddings positions for texts of that length, if they have fewer.

    New positions lie evenly between the old ones. They are made on the CPU, wherever the base has
    been taken: then they are the same bits.
    """
    table = embeddings.get_submodule("position_embeddings")
    old: Tensor = table.weight  # type: ignore[assignment]  # torch types no attribute of a module
    if length <= len(old):
        return
    new = functional.interpolate(
        _on_cpu(old).T[None], size=length, mode="linear", align_corners=True
    )[0].T
    positions = nn.Embedding.from_pretrained(new.contiguous(), freeze=True)
    embeddings.register_module("position_embeddings", positions)
    embeddings.register_buffer("position_ids", torch.arange(length)[None], persistent=False)
    zeros = torch.zeros(1, length, dtype=torch.int64)
    embeddings.register_buffer("token_type_ids", zeros, persistent=False)
