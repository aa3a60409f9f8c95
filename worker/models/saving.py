"""A base written in the hub's format, from which `load_base` makes the same base again."""

import json
from pathlib import Path

from worker.data.tokenizer import END, MASK, PAD, START, UNKNOWN
from worker.models.base import Base

_SPECIAL = {
    "pad_token": PAD,
    "unk_token": UNKNOWN,
    "cls_token": START,
    "sep_token": END,
    "mask_token": MASK,
}


def save_base(base: Base, directory: Path) -> None:
    """Write weights, tokenizer and image processor into the directory. Raises OSError.

    The tokenizer is written by its own library: the hub's wrapper would add the special tokens to
    it, after which a text that merely says `[SEP]` is read otherwise.
    """
    backbone = base.backbone
    backbone.model.save_pretrained(directory)
    size = {"height": backbone.image_size, "width": backbone.image_size}
    mean, std = (values.flatten().tolist() for values in (base.image_mean, base.image_std))
    backbone.processor(image_mean=mean, image_std=std, size=size).save_pretrained(directory)
    base.tokenizer.backend.save(str(directory / "tokenizer.json"))
    described = {"tokenizer_class": "PreTrainedTokenizerFast", **_SPECIAL}
    (directory / "tokenizer_config.json").write_text(json.dumps(described, indent=1) + "\n")
