"""The paper's federation: its ten patterns of clients, and both backbones at its dimensions.

Weights are on torch's meta device: sizes and names without values (ALGORITHM 4).
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from shared.job_spec import JobSpec
from shared.model_spec import Family, RandomBase
from worker.data.tokenizer import SPECIAL, Tokenizer
from worker.models.backbone import Backbone
from worker.models.base import Base
from worker.models.flava import Flava
from worker.models.network import Network
from worker.models.vilt import Vilt

_WORDS = 30_522


def _classes(n: int) -> list[str]:
    return [f"class {i}" for i in range(n)]


_VISION = {"kind": "image_classification", "modalities": ["image"]}
_TEXT = {"kind": "text_generation", "modalities": ["text"], "max_target_tokens": 40}
_DRAWING = {"kind": "image_generation", "modalities": ["image"]}
TASKS: Mapping[str, Mapping[str, Any]] = {
    "tiny-imagenet": {**_VISION, "classes": _classes(200)},
    "cifar100": {**_VISION, "classes": _classes(100)},
    "ag-news": {
        "kind": "text_classification",
        "modalities": ["text"],
        "classes": ["world", "sports", "business", "science"],
    },
    "caltech": _DRAWING,
    "fashion": _DRAWING,
    "vqa": {**_TEXT, "modalities": ["image", "text"], "max_target_tokens": 16},
    "mmlu": {**_TEXT, "domains": ["law", "medicine", "moral"]},
    "common-gen": _TEXT,
}
PATTERNS: Mapping[Family, tuple[tuple[str, ...], ...]] = {
    "flava": (
        ("tiny-imagenet",),
        ("ag-news",),
        ("ag-news",),
        ("caltech",),
        ("vqa",),
        ("vqa",),
        ("mmlu",),
        ("cifar100", "ag-news"),
        ("common-gen", "fashion"),
        ("common-gen", "caltech"),
    ),
    "vilt": (
        ("fashion",),
        ("ag-news",),
        ("ag-news",),
        ("caltech",),
        ("vqa",),
        ("vqa",),
        ("mmlu",),
        ("fashion", "ag-news"),
        ("common-gen", "fashion"),
        ("common-gen", "caltech"),
    ),
}


def job(family: Family) -> JobSpec:
    """A job over all tasks of the ten patterns."""
    used = sorted({task for pattern in PATTERNS[family] for task in pattern})
    return JobSpec.model_validate(
        {
            "name": f"paper-{family}",
            "algorithm": {"name": "tap"},
            "model": {"preset": f"{family}-paper"},
            "rounds": {"count": 200, "clients_per_round": 2},
            "tasks": {task: TASKS[task] for task in used},
            "clients": [f"c{i:02}" for i in range(30)],
        }
    )


def client(family: Family, pattern: int) -> Network:
    """The network of a client of one pattern, without values."""
    spec = job(family)
    tasks = PATTERNS[family][pattern]
    components = frozenset().union(
        *(spec.tasks[task].components(task, spec.model.layers) for task in tasks)
    )
    with torch.device("meta"):
        return Network(spec, base(family), components)


@cache
def base(family: Family) -> Base:
    """`facebook/flava-full` or `dandelin/vilt-b32-mlm` in size."""
    words = _words()
    of: type[Backbone] = Flava if family == "flava" else Vilt
    with torch.device("meta"):
        backbone = of.random(_SIZES[family], words)
        mean = torch.zeros(3, 1, 1)
    backbone.model.requires_grad_(requires_grad=False)
    return Base(backbone, words, _SIZES[family].image_size, mean, mean, "0" * 64)


def _words() -> Tokenizer:
    """A vocabulary as long as bert-base-uncased's."""
    entries = [*SPECIAL, *(f"w{i}" for i in range(_WORDS - len(SPECIAL)))]
    with TemporaryDirectory() as directory:
        path = Path(directory) / "vocab.txt"
        path.write_text("\n".join(entries))
        return Tokenizer.from_vocabulary(path)


_SIZES: Mapping[Family, RandomBase] = {
    "flava": RandomBase(
        hidden_size=768, heads=12, image_layers=12, text_layers=12, fusion_layers=6,
        image_size=224, patch_size=16,
    ),
    "vilt": RandomBase(
        hidden_size=768, heads=12, fusion_layers=12, image_size=384, patch_size=32
    ),
}  # fmt: skip
