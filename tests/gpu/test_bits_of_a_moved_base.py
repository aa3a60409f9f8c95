"""What is made of a base is the same bits, wherever networks before have taken the base."""

from typing import Any

import pytest
import torch

from shared.components import Modality
from tests.support import small
from worker.models.base import _load, load_base

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]


@pytest.mark.parametrize("family", ["flava", "vilt"])
def test_a_base_on_a_gpu_gives_the_cpus_words_and_positions(family: str) -> None:
    job = small.family_spec(family, "lora")
    found = []
    for device in ("cpu", "cuda"):
        _load.cache_clear()
        backbone = load_base(job.model).backbone
        model: Any = backbone.model
        model.to(device)
        text = backbone.encoder(Modality.TEXT, 900)
        [positions] = [
            p for n, p in text.named_parameters() if n.endswith("position_embeddings.weight")
        ]
        found.append((backbone.unit_words.cpu(), positions.cpu()))
    _load.cache_clear()
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
