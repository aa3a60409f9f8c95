"""Writes a base as a directory in the hub's format, with a model card."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from corpus import SIZE
from transformers import FlavaImageProcessorPil, ViltImageProcessorPil

from worker.data.tokenizer import VOCABULARY

_CARD = Path(__file__).with_name("card.md")
_NAMES = {"flava": "FLAVA", "vilt": "ViLT"}


def write(
    out: Path,
    family: str,
    body: Any,
    losses: Mapping[str, float],
    recipe: Mapping[str, object],
) -> None:
    """Weights in half precision, configuration, vocabulary, processor and card."""
    out.mkdir(parents=True, exist_ok=True)
    n_values = sum(p.numel() for p in body.parameters())
    body.to("cpu").half().save_pretrained(out)
    shutil.copyfile(VOCABULARY, out / "vocab.txt")
    _processor(family).save_pretrained(out)
    card = Template(_CARD.read_text(encoding="utf-8")).substitute(
        name=f"{family}-small",
        family=_NAMES[family],
        flag=family,
        values=f"{n_values:,}",
        losses="\n".join(f"| {name} | {value:.3f} |" for name, value in losses.items()),
        **recipe,
    )
    (out / "README.md").write_text(card, encoding="utf-8")


def _processor(family: str) -> FlavaImageProcessorPil | ViltImageProcessorPil:
    common: Mapping[str, Any] = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
    size = {"height": SIZE, "width": SIZE}
    if family == "flava":
        return FlavaImageProcessorPil(size=size, crop_size=size, **common)
    return ViltImageProcessorPil(size={"shortest_edge": SIZE}, **common)
