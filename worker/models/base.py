"""The frozen base: pretrained encoders and fusion layers, loaded once in a process."""

import copy
import hashlib
import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from huggingface_hub import snapshot_download
from torch import Tensor, nn
from transformers import FlavaConfig, FlavaImageProcessorPil, FlavaModel

from shared.job_spec import ModelSpec, RandomBase
from worker.data.tokenizer import Tokenizer, TokenizerError
from worker.training import seeds

M = TypeVar("M", bound=nn.Module)
_VOCABULARY = Path(__file__).parent.parent / "data" / "vocabulary.txt"


class BaseError(Exception):
    """The base cannot be loaded, or is not the one that the job names."""


@dataclass(frozen=True)
class Base:
    """Pretrained modules, all frozen, and what is needed to feed them."""

    model: FlavaModel
    tokenizer: Tokenizer
    image_size: int  # pixels
    image_mean: Tensor  # (3, 1, 1), of values from 0 to 1
    image_std: Tensor  # (3, 1, 1)
    digest: str

    @property
    def width(self) -> int:
        """D, the size of a token's features."""
        return int(self.model.config.hidden_size)

    @property
    def heads(self) -> int:
        """Attention heads of the fusion layers."""
        return int(_part(self.model.config, "multimodal").num_attention_heads)

    @property
    def words(self) -> nn.Parameter:
        """The frozen word embeddings. (V, D)"""
        weight = self.model.text_model.embeddings.word_embeddings.weight
        return cast("nn.Parameter", weight)

    @cached_property
    def embeddings(self) -> Tensor:
        """The frozen word embeddings, scaled to unit variance. (V, D)"""
        return self.words / self.words.std()

    def fusion_layer(self, index: int) -> nn.Module:
        """A layer of the multimodal encoder; counted round where the base has fewer."""
        layers = self.model.multimodal_model.encoder.layer
        layer: nn.Module = layers[index % len(layers)]
        return layer


def load_base(spec: ModelSpec) -> Base:
    """The base that a job names; the same object for the same base. Raises BaseError."""
    base = _load(spec.weights, spec.random)
    if spec.digest is not None and spec.digest != base.digest:
        raise BaseError(
            f"the base {spec.weights!r} here has digest {base.digest}, but the job names "
            f"{spec.digest}: give this worker the same weights"
        )
    return base


@lru_cache(maxsize=2)
def _load(weights: str, sizes: RandomBase) -> Base:
    base = _random(sizes) if weights == "random" else _pretrained(weights)
    base.model.requires_grad_(requires_grad=False).eval()
    return base


def _random(sizes: RandomBase) -> Base:
    tokenizer = Tokenizer.from_vocabulary(_VOCABULARY)
    with seeds.scope("base", sizes.seed):
        model = FlavaModel(_config(sizes, tokenizer))
    mean = torch.full((3, 1, 1), 0.5)
    return Base(model, tokenizer, sizes.image_size, mean, mean, _digest(model, tokenizer, mean))


def _config(sizes: RandomBase, tokenizer: Tokenizer) -> FlavaConfig:
    """FLAVA at small sizes; weights as large, relative to the width, as at the original's 768."""
    common = {
        "hidden_size": sizes.hidden_size,
        "num_attention_heads": sizes.heads,
        "intermediate_size": 4 * sizes.hidden_size,
        "initializer_range": 0.02 * math.sqrt(768 / sizes.hidden_size),
    }
    image = {"image_size": sizes.image_size, "patch_size": sizes.patch_size}
    return FlavaConfig(
        image_config={**common, **image, "num_hidden_layers": sizes.image_layers},
        text_config={
            **common,
            "num_hidden_layers": sizes.text_layers,
            "vocab_size": tokenizer.vocab_size,
            "pad_token_id": tokenizer.pad_id,
        },
        multimodal_config={**common, "num_hidden_layers": sizes.fusion_layers},
        hidden_size=sizes.hidden_size,
        projection_dim=sizes.hidden_size,
        initializer_range=common["initializer_range"],
    )


def _pretrained(weights: str) -> Base:
    try:
        directory = Path(weights)
        if not directory.is_dir():
            directory = Path(snapshot_download(weights))
        model = FlavaModel.from_pretrained(directory)
        processor = FlavaImageProcessorPil.from_pretrained(directory)
        tokenizer = Tokenizer.from_directory(directory)
    except (OSError, ValueError, TokenizerError) as error:
        raise BaseError(
            f"the base {weights!r} cannot be loaded ({error}): give a directory with config, "
            "weights, tokenizer and image processor of a FLAVA model"
        ) from error
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (processor.image_mean, processor.image_std))
    size = int(_part(model.config, "image").image_size)
    return Base(model, tokenizer, size, mean, std, _digest(model, tokenizer, mean, std))


def _part(config: FlavaConfig, name: str) -> Any:
    """A part of FLAVA's configuration, which is always complete once the model is there."""
    return getattr(config, f"{name}_config")


def _digest(model: nn.Module, tokenizer: Tokenizer, *constants: Tensor) -> str:
    """The sha256 over the names, shapes and bytes of all weights, vocabulary and scaling."""
    sha = hashlib.sha256()
    sha.update("\n".join(tokenizer.vocabulary).encode())
    named = {**model.state_dict(), **{f"constant.{i}": c for i, c in enumerate(constants)}}
    for name in sorted(named):
        tensor = named[name].detach().contiguous()
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def view(module: M) -> M:
    """A copy of a module's structure that shares its parameters, so that they exist once."""
    return copy.deepcopy(module, {id(p): p for p in module.parameters()})


def trainable_copy(module: M) -> M:
    """A copy with weights of its own, which train."""
    return copy.deepcopy(module).requires_grad_()
