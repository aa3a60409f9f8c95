"""The small bases that come with Tapestry, and the recipe that made them."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from shared.model_spec import ModelSpec
from shared.presets import BASES, BUILTIN
from shared.spec_files import SpecError, parse
from worker.data.tokenizer import Tokenizer
from worker.models.base import load_base

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
SCRIPTS = [str(ROOT / "examples" / "pretraining"), str(ROOT / "examples" / "demo")]
STEPS, BATCH, RATE = 5, 4, 1e-3
RECIPE = {"steps": STEPS, "batch": BATCH, "rate": RATE, "seed": 1}


@pytest.fixture
def scripts() -> Iterator[Any]:
    """The modules of examples/pretraining, as its own command imports them."""
    before = set(sys.modules)
    sys.path[:0] = SCRIPTS
    import card  # noqa: PLC0415 - scripts are no package
    import corpus  # noqa: PLC0415 - likewise
    import objectives  # noqa: PLC0415 - likewise
    import pretrain  # noqa: PLC0415 - likewise

    yield {"card": card, "corpus": corpus, "objectives": objectives, "pretrain": pretrain}
    del sys.path[: len(SCRIPTS)]
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(
            sys.modules[name].__file__
        ).startswith(tuple(SCRIPTS)):
            del sys.modules[name]


@pytest.mark.parametrize("name", BASES)
def test_a_shipped_base_is_the_one_that_its_preset_names(name: str) -> None:
    spec = parse(ModelSpec, f"preset: {name}")
    base = load_base(spec)  # which compares the digests
    assert spec.digest == base.digest
    assert base.image_size == 64
    assert {p.dtype for p in base.backbone.model.parameters()} == {torch.float32}
    directory = ROOT / "worker" / "bases" / name
    assert sum(path.stat().st_size for path in directory.iterdir()) < 4 << 20
    assert name in (directory / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", BASES)
def test_no_worker_takes_other_weights_for_a_shipped_base(name: str) -> None:
    spec = parse(ModelSpec, f"{{preset: {name}, digest: {'f' * 64}}}")
    with pytest.raises(Exception, match=r"give this worker the same weights"):
        load_base(spec)


def test_an_unknown_shipped_base_is_refused_by_the_spec() -> None:
    with pytest.raises(SpecError, match=r"no base 'flava-huge' comes with Tapestry"):
        parse(ModelSpec, f"weights: '{BUILTIN}flava-huge'")


@pytest.mark.parametrize("family", ["flava", "vilt"])
def test_the_recipe_makes_a_base_that_can_be_loaded(
    family: str, scripts: Any, tmp_path: Path
) -> None:
    digests = set()
    for number in range(2):
        directory = tmp_path / f"{number}"
        losses = made(scripts, family, directory)
        assert all(0 < loss < 20 for loss in losses.values())
        spec = parse(ModelSpec, f"{{family: {family}, weights: '{directory}'}}")
        digests.add(load_base(spec).digest)
    assert len(digests) == 1  # the same recipe, the same base


def made(scripts: Any, family: str, directory: Path) -> dict[str, float]:
    """Pretrain on a corpus made by hand."""
    words = Tokenizer.from_vocabulary(ROOT / "worker" / "data" / "vocabulary.txt")
    random = torch.Generator().manual_seed(7)
    images = torch.randint(0, 256, (12, 3, 64, 64), dtype=torch.uint8, generator=random)
    captions = [("what shape? circle", "what colour? red", f"number {n}?") for n in range(12)]
    texts = words.encode([f"profits rose {n} per cent" for n in range(8)], 40)
    corpus = scripts["corpus"].Corpus(images, captions, texts, words)
    torch.manual_seed(1)
    objective = scripts["pretrain"].OBJECTIVES[family](
        corpus, torch.Generator().manual_seed(1), torch.device("cpu")
    )
    losses: dict[str, float] = scripts["pretrain"].pretrain(objective, STEPS, BATCH, RATE)
    scripts["card"].write(directory, family, objective.body, losses, RECIPE)
    return losses
