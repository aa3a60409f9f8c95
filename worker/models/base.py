"""The frozen base: a pretrained backbone and what feeds it, loaded once in a process."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from torch import Tensor, nn
from transformers import AutoConfig
from transformers.utils import logging as library_log

from shared.model_spec import Family, ModelSpec, RandomBase
from shared.presets import BUILTIN
from worker.data.tokenizer import VOCABULARY, Tokenizer, TokenizerError
from worker.models.backbone import Backbone
from worker.models.flava import Flava
from worker.models.vilt import Vilt
from worker.training import seeds

_SHIPPED = Path(__file__).parent.parent / "bases"
# What weights lack is checked here and told in one sentence; what they have beyond it is no matter.
library_log.set_verbosity_error()
library_log.disable_progress_bar()
_FAMILIES: Mapping[Family, type[Backbone]] = {"flava": Flava, "vilt": Vilt}


class BaseError(Exception):
    """The base cannot be loaded, or is not the one that the job names."""


@dataclass(frozen=True)
class Base:
    """Pretrained modules, all frozen, and what is needed to feed them."""

    backbone: Backbone
    tokenizer: Tokenizer
    image_size: int  # pixels
    image_mean: Tensor  # (3, 1, 1), of values from 0 to 1
    image_std: Tensor  # (3, 1, 1)
    digest: str

    @property
    def width(self) -> int:
        """D, the size of a token's features."""
        return self.backbone.width

    @property
    def heads(self) -> int:
        """Attention heads of the fusion layers."""
        return self.backbone.heads

    @property
    def unit_words(self) -> nn.Parameter:
        """The frozen word embeddings, scaled to unit variance. (V, D)"""
        return self.backbone.unit_words

    def fusion_layer(self, index: int) -> nn.Module:
        """A fusion layer of the backbone; counted round where it has fewer."""
        layers = self.backbone.fusion_layers
        return layers[index % len(layers)]


def load_base(spec: ModelSpec, device: str = "cpu") -> Base:
    """The base that a job names, its weights once in a process. Raises BaseError.

    A network that moves takes its base's weights along: who has networks on several devices names
    the device, for each has a base of its own.
    """
    base = _load(spec.family, spec.weights, spec.random, device)
    if spec.digest is not None and spec.digest != base.digest:
        raise BaseError(
            f"the base {spec.weights!r} here has digest {base.digest}, but the job names "
            f"{spec.digest}: give this worker the same weights"
        )
    size = spec.image_size or base.image_size
    if size % base.backbone.patch_size:
        raise BaseError(
            f"image_size {size} is no multiple of {base.backbone.patch_size}, the base's patches: "
            "choose one"
        )
    return replace(base, image_size=size)


@lru_cache(maxsize=2)
def _load(
    family: Family,
    weights: str,
    sizes: RandomBase,
    device: str,  # noqa: ARG001  # only tells bases apart
) -> Base:
    of = _FAMILIES[family]
    base = _random(of, sizes) if weights == "random" else _pretrained(family, of, weights)
    base.backbone.model.requires_grad_(requires_grad=False).eval()
    return base


def _random(of: type[Backbone], sizes: RandomBase) -> Base:
    tokenizer = Tokenizer.from_vocabulary(VOCABULARY)
    with seeds.scope("base", sizes.seed):
        backbone = of.random(sizes, tokenizer)
    mean = torch.full((3, 1, 1), 0.5)
    return _made(backbone, tokenizer, mean, mean, sizes.image_size)


def _pretrained(family: Family, of: type[Backbone], weights: str) -> Base:
    try:
        directory = _directory(weights)
        backbone = _backbone(family, of, directory)
        processor = of.processor.from_pretrained(directory)
        tokenizer = Tokenizer.from_directory(directory)
        _check_words(backbone, tokenizer)
    except (OSError, ValueError, TokenizerError) as error:
        raise BaseError(
            f"the base {weights!r} cannot be loaded ({error}): give a directory with config, "
            f"weights, tokenizer and image processor of a {of.library.__name__}"
        ) from error
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (processor.image_mean, processor.image_std))
    return _made(backbone, tokenizer, mean, std, backbone.image_size)


def _directory(weights: str) -> Path:
    """Where the weights lie: with Tapestry, in a directory, or fetched from the hub."""
    if weights.startswith(BUILTIN):
        return _SHIPPED / weights.removeprefix(BUILTIN)
    directory = Path(weights)
    return directory if directory.is_dir() else Path(snapshot_download(weights))


def _backbone(family: Family, of: type[Backbone], directory: Path) -> Backbone:
    """The weights, all of them out of the directory, in float32 however they are stored.

    Raises OSError, ValueError.
    """
    found = AutoConfig.from_pretrained(directory).model_type
    if found != family:
        raise ValueError(f"it holds a {found!r} model, and the job's family is {family!r}")
    loaded: Any = of.library.from_pretrained(
        directory, dtype=torch.float32, output_loading_info=True, **of.reading
    )
    model, report = loaded
    lacking = sorted(report["missing_keys"])
    if lacking:
        raise ValueError(f"it lacks {len(lacking)} tensors, {lacking[0]} first")
    return of(model)


def _check_words(backbone: Backbone, tokenizer: Tokenizer) -> None:
    rows = len(backbone.words)
    if tokenizer.vocab_size > rows:
        raise ValueError(
            f"its tokenizer has {tokenizer.vocab_size} words and its weights know {rows}"
        )


def _made(
    backbone: Backbone, tokenizer: Tokenizer, mean: Tensor, std: Tensor, image_size: int
) -> Base:
    constants = {"constant.0": mean, "constant.1": std}
    digest = _digest({**backbone.model.state_dict(), **constants}, tokenizer)
    return Base(backbone, tokenizer, image_size, mean, std, digest)


def _digest(tensors: Mapping[str, Any], tokenizer: Tokenizer) -> str:
    """The sha256 over the names, shapes and bytes of all weights, vocabulary and scaling."""
    sha = hashlib.sha256()
    sha.update("\n".join(tokenizer.vocabulary).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().contiguous()
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()
