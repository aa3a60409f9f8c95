"""What a model answers, by the kind of its task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor


@dataclass(frozen=True)
class Classified:
    """The likeliest class, and how likely each is."""

    label: str
    probabilities: Mapping[str, float]


@dataclass(frozen=True)
class Written:
    """A generated text."""

    text: str


@dataclass(frozen=True)
class Drawn:
    """A generated image, RGB."""

    image: Image.Image


Answer = Classified | Written | Drawn


def classified(logits: Tensor, classes: Sequence[str]) -> Classified:
    """From the logits of one sample. (C,)"""
    shares: list[float] = torch.softmax(logits.double(), 0).tolist()
    return Classified(classes[int(logits.argmax())], dict(zip(classes, shares, strict=True)))


def drawn(pixels: Tensor) -> Drawn:
    """From values from 0 to 1. (3, H, W)"""
    values = (pixels * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous()
    return Drawn(Image.fromarray(values.numpy(), "RGB"))
