"""Named settings of a model: complete, beneath what is given, and stable when stored."""

import pytest

from shared.model_spec import ModelSpec
from shared.presets import PRESETS
from shared.spec_files import SpecError, parse

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_is_a_whole_model_that_can_be_stored(name: str) -> None:
    spec = parse(ModelSpec, f"preset: {name}")
    assert spec.family == name.split("-", maxsplit=1)[0]
    assert parse(ModelSpec, spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("name", "layers", "ranks", "length"),
    [
        ("flava-paper", (1, 1), [(8, 16), (4, 8), (16, 32)], 256),
        ("vilt-paper", (4, 4), [(4, 8), (8, 16), (8, 16)], 40),
    ],
)
def test_the_papers_presets_are_the_papers(
    name: str, layers: tuple[int, int], ranks: list[tuple[int, float]], length: int
) -> None:
    spec = parse(ModelSpec, f"preset: {name}")
    lora = spec.lora
    assert (spec.mote_layers, spec.mome_layers) == layers
    assert [(r.rank, r.alpha) for r in (lora.encoder, lora.expert, lora.attention)] == ranks
    assert (lora.dropout, spec.max_text_tokens, spec.trainable) == (0.3, length, "lora")


def test_what_is_given_counts() -> None:
    ranks = "lora: {expert: {rank: 2, alpha: 4}}"
    spec = parse(ModelSpec, f"{{preset: vilt-paper, weights: ./mine, mome_layers: 2, {ranks}}}")
    assert (spec.weights, spec.mote_layers, spec.mome_layers) == ("./mine", 4, 2)
    assert (spec.lora.expert.rank, spec.lora.encoder.rank) == (2, 4)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("preset: flava-huge", "there is no preset 'flava-huge': choose one of flava-paper,"),
        ("preset: [flava-small]", "there is no preset ['flava-small']: choose one of flava-paper,"),
        ("mote_layers: 101", "mote_layers: must be at most 100; lower it"),
        ("mome_layers: 0", "mome_layers: must be at least 1; raise it"),
        ("{family: vilt, random: {image_layers: 2}}", "a ViLT has one stack of layers: give"),
        ("family: clip", "family"),
    ],
)
def test_what_is_wrong_is_named_with_the_remedy(given: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse(ModelSpec, given)
    assert said in str(caught.value)
