"""Named settings of a model: the paper's (ALGORITHM 4), and small ones for two cores."""

from collections.abc import Mapping
from typing import Any, Literal

BUILTIN = "builtin:"  # the weights come with Tapestry
BASES = ("flava-small", "vilt-small")
_SMALL_LORA: Mapping[str, Any] = {
    "encoder": {"rank": 8, "alpha": 16},
    "expert": {"rank": 8, "alpha": 16},
    "attention": {"rank": 8, "alpha": 16},
    "dropout": 0.0,
}
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
        "weights": f"{BUILTIN}flava-small",
        "digest": "76273c0425b4b686f58e4871ef97017d8ed5ed1dd95f2704e0e08447c39fa8c3",
        "lora": _SMALL_LORA,
        "mote_layers": 1,
        "mome_layers": 1,
        "max_text_tokens": 40,
    },
    "vilt-small": {
        "family": "vilt",
        "weights": f"{BUILTIN}vilt-small",
        "digest": "ecf5fb5c7bbb21180ea344464015526a81fe1c0ad5faf9aaf90044dce4aebc68",
        "lora": _SMALL_LORA,
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
    if name not in tuple(PRESETS):  # it may be a list
        raise ValueError(f"there is no preset {name!r}: choose one of {', '.join(sorted(PRESETS))}")
    return _over(PRESETS[name], given)


def _over(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**lower, **upper}
    for key, below in lower.items():
        above = upper.get(key)
        if isinstance(below, Mapping) and isinstance(above, Mapping):
            merged[key] = _over(below, above)
    return merged
