"""Named settings of a model: the paper's (ALGORITHM 4), and small ones for two cores."""

from collections.abc import Mapping
from typing import Any, Literal

Preset = Literal["flava-paper", "vilt-paper", "flava-small", "vilt-small"]

PRESETS: Mapping[Preset, Mapping[str, Any]] = {
    "flava-paper": {
        "family": "flava",
        "weights": "facebook/flava-full",
        "lora": {
            "encoder": {"rank": 8, "alpha": 16},
            "expert": {"rank": 4, "alpha": 8},
            "attention": {"rank": 16, "alpha": 32},
            "dropout": 0.3,
        },
        "mote_layers": 1,
        "mome_layers": 1,
        "max_text_tokens": 256,
    },
    "vilt-paper": {
        "family": "vilt",
        "weights": "dandelin/vilt-b32-mlm",
        "lora": {
            "encoder": {"rank": 4, "alpha": 8},
            "expert": {"rank": 8, "alpha": 16},
            "attention": {"rank": 8, "alpha": 16},
            "dropout": 0.3,
        },
        "mote_layers": 4,
        "mome_layers": 4,
        "max_text_tokens": 40,
    },
    "flava-small": {
        "family": "flava",
        "random": {
            "hidden_size": 64,
            "heads": 4,
            "image_layers": 2,
            "text_layers": 2,
            "fusion_layers": 2,
            "image_size": 64,
            "patch_size": 8,
        },
        "trainable": "full",
        "max_text_tokens": 40,
    },
    "vilt-small": {
        "family": "vilt",
        "random": {
            "hidden_size": 64,
            "heads": 4,
            "fusion_layers": 4,
            "image_size": 64,
            "patch_size": 8,
        },
        "trainable": "full",
        "mote_layers": 2,
        "mome_layers": 2,
        "max_text_tokens": 40,
    },
}


def filled_in(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a model's spec with its preset's beneath; what is given counts.

    Raises ValueError for a preset that does not exist.
    """
    name = given.get("preset")
    if name is None:
        return dict(given)
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}: choose one of {', '.join(sorted(PRESETS))}")
    return _over(PRESETS[name], given)


def _over(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**lower, **upper}
    for key, below in lower.items():
        above = upper.get(key)
        if isinstance(below, Mapping) and isinstance(above, Mapping):
            merged[key] = _over(below, above)
    return merged
