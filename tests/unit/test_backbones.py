"""Both families' frozen paths are the library's own, and only a whole base is loaded."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from shared.components import Modality, parse
from shared.job_spec import JobSpec
from tests.support import small
from worker.models.base import Base, BaseError, load_base
from worker.models.blocks import NO_DOMAINS, all_tokens
from worker.models.network import Batch, Network
from worker.models.parts import make_part
from worker.models.saving import save_base
from worker.training.batches import select

pytestmark = pytest.mark.unit

JOBS = {family: small.family_spec(family, "lora") for family in ("flava", "vilt")}
FLAVA, VILT = JOBS["flava"], JOBS["vilt"]


@pytest.fixture(params=sorted(JOBS))
def job(request: pytest.FixtureRequest) -> JobSpec:
    return JOBS[request.param]


def batch(job: JobSpec, task: str) -> Batch:
    return select(small.split(job, task, 6), torch.arange(6))


def encoded(job: JobSpec, modality: str, **changes: Any) -> tuple[Tensor, Tensor, Batch]:
    """What the untrained network makes of a modality, its mask, and the samples."""
    changed = job.model_copy(update={"model": job.model.model_copy(update=changes)})
    samples = batch(job, "vqa")
    network = small.network(changed, ["vqa"]).eval()
    return *network._encode(Modality(modality), samples), samples


def pixels(base: Base, images: Tensor | None) -> Tensor:
    assert images is not None
    return (images / 255 - base.image_mean) / base.image_std


def test_frozen_weights_exist_once_in_memory(job: JobSpec) -> None:
    base = load_base(job.model)
    frozen = {id(p) for p in (*base.backbone.model.parameters(), base.unit_words)}
    network = small.network(job)
    own = {id(p) for name in network.components for p in network.tensors(name).values()}
    assert not {id(p) for p in network.parameters()} - frozen - own


def test_flavas_encoders_are_the_librarys() -> None:
    model: Any = load_base(FLAVA.model).backbone.model
    found, mask, samples = encoded(FLAVA, "text")
    wanted = model.text_model(input_ids=samples.tokens, attention_mask=mask.long())
    assert torch.allclose(found[mask], wanted.last_hidden_state[mask], atol=1e-5)
    found, _, samples = encoded(FLAVA, "image")
    wanted = model.image_model(pixel_values=pixels(load_base(FLAVA.model), samples.images))
    assert torch.allclose(found, wanted.last_hidden_state, atol=1e-5)


@pytest.mark.parametrize("size", [None, 40])
def test_vilts_embeddings_are_the_librarys_in_the_patches_own_order(size: int | None) -> None:
    base = load_base(VILT.model.model_copy(update={"image_size": size}))
    samples = batch(VILT, "vqa")
    assert samples.images is not None
    images = nn.functional.interpolate(samples.images.float(), base.image_size)
    library: Any = base.backbone.model.get_submodule("embeddings")
    mask = torch.ones(6, base.image_size, base.image_size)
    wanted, _, (index, grid) = library.visual_embed(pixels(base, images), mask, -1)
    own = base.backbone.encoder(Modality.IMAGE, 12)
    types = library.token_type_embeddings.weight
    found = base.backbone.encode_image(own, pixels(base, images)) - types[1]
    order = 1 + index[..., 0] * grid[1] + index[..., 1]
    shuffled = found.gather(1, order[..., None].expand(-1, -1, 16))
    assert torch.allclose(found[:, 0], wanted[:, 0], atol=1e-5)
    assert torch.allclose(shuffled, wanted[:, 1:], atol=1e-5)


def through_all_layers(job: JobSpec, x: Tensor, mask: Tensor) -> Tensor:
    """Through a block and experts made of each fusion layer, and the last norm."""
    depth = len(load_base(job.model).backbone.fusion_layers)
    layers = job.model.model_copy(update={"mote_layers": 1, "mome_layers": depth - 1})
    deep = job.model_copy(update={"model": layers})
    base = load_base(deep.model)
    parts = {str(c): make_part(c, deep, base).eval() for c in small.task_components(deep, "digits")}
    first = parts["block.mote.shared"]([x], mask, [[parts["mote.0.shared.shared"]]], [NO_DOMAINS])
    others = [[parts[f"mome.{i}.shared.shared"]] for i in range(depth - 1)]
    [last] = parts["block.mome.shared"](first, mask, others, [NO_DOMAINS] * (depth - 1))
    found: Tensor = last
    return found


def test_blocks_of_all_vilts_layers_are_the_librarys_model() -> None:
    base, samples = load_base(VILT.model), batch(VILT, "vqa")
    words, mask, _ = encoded(VILT, "text")
    patches, _, _ = encoded(VILT, "image")
    together = torch.cat([mask, all_tokens(patches)], dim=1)
    found = through_all_layers(VILT, torch.cat([words, patches], dim=1), together)
    wanted = base.backbone.model(
        input_ids=samples.tokens,
        attention_mask=mask.long(),
        pixel_values=pixels(base, samples.images),
        pixel_mask=torch.ones(6, 16, 16),
    ).last_hidden_state
    n = words.shape[1]
    assert torch.allclose(found[:, :n][mask], wanted[:, :n][mask], atol=1e-5)
    assert torch.allclose(found[:, n:].sum(1), wanted[:, n:].sum(1), atol=1e-4)


def test_blocks_of_all_flavas_layers_are_the_librarys_multimodal_model() -> None:
    library: Any = load_base(FLAVA.model).backbone.model.get_submodule("multimodal_model")
    x = torch.randn(6, 9, 16)
    cls = library.cls_token.expand(6, -1, -1)
    mask = torch.ones(6, 10, dtype=torch.bool)
    found = through_all_layers(FLAVA, torch.cat([cls, x], dim=1), mask)
    assert torch.allclose(found, library(hidden_states=x).last_hidden_state, atol=1e-5)


def test_texts_longer_than_the_bases_positions_get_positions_between() -> None:
    found, mask, _ = encoded(VILT, "text", max_text_tokens=79)
    short, _, _ = encoded(VILT, "text")
    assert bool(mask.any())
    table = load_base(VILT.model).backbone.model.get_parameter(
        "embeddings.text_embeddings.position_embeddings.weight"
    )
    assert len(table) == 40
    long = load_base(VILT.model).backbone.encoder(Modality.TEXT, 79)
    new = long.get_parameter("embeddings.position_embeddings.weight")
    assert torch.allclose(new[::2], table, atol=1e-6)
    assert torch.allclose(new[1], (table[0] + table[1]) / 2, atol=1e-6)
    assert torch.allclose(found[:, 0], short[:, 0], atol=1e-6)
    assert not torch.allclose(found[:, 2], short[:, 2], atol=1e-3)


def saved(job: JobSpec, directory: Path) -> Base:
    """Write a random base in the hub's format; returns it."""
    base = load_base(job.model)
    save_base(base, directory)
    return base


def read(job: JobSpec, directory: Path) -> Base:
    return load_base(job.model.model_copy(update={"weights": str(directory)}))


def test_a_base_in_the_hubs_format_is_the_same_base(job: JobSpec, tmp_path: Path) -> None:
    written = saved(job, tmp_path)
    found = read(job, tmp_path)
    assert found.digest == written.digest
    assert found.image_size == 16
    assert Network(job, found, ()).device == torch.device("cpu")


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16])
def test_a_base_stored_in_half_precision_is_read_as_float32(
    job: JobSpec, stored: torch.dtype, tmp_path: Path
) -> None:
    base = load_base(job.model)
    model: Any = copy.deepcopy(base.backbone.model)
    model.to(stored)
    save_base(replace(base, backbone=replace(base.backbone, model=model)), tmp_path)
    found = read(job, tmp_path)
    halved = {name: values.to(stored).float() for name, values in model.state_dict().items()}
    weights = found.backbone.model.state_dict()
    assert {values.dtype for values in weights.values()} == {torch.float32}
    assert all(torch.equal(values, halved[name]) for name, values in weights.items())
    assert found.digest != base.digest
    part = make_part(parse("head.digits"), job, found)
    assert {values.dtype for values in part.state_dict().values()} == {torch.float32}


def test_a_base_of_another_architecture_is_refused(tmp_path: Path) -> None:
    saved(VILT, tmp_path)
    with pytest.raises(BaseError, match="holds a 'vilt' model, and the job's family is 'flava'"):
        read(FLAVA, tmp_path)


def test_a_base_that_lacks_weights_is_refused(job: JobSpec, tmp_path: Path) -> None:
    base = saved(job, tmp_path)
    state = dict(base.backbone.model.state_dict())
    gone = next(name for name in sorted(state) if "layernorm" in name)
    del state[gone]
    base.backbone.model.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(BaseError, match=f"lacks 1 tensors, {gone} first"):
        read(job, tmp_path)


def test_a_tokenizer_with_more_words_than_the_weights_is_refused(
    job: JobSpec, tmp_path: Path
) -> None:
    saved(job, tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    words = [*load_base(job.model).tokenizer.vocabulary, "tapestryx"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    with pytest.raises(BaseError, match=r"tokenizer has \d+ words and its weights know \d+"):
        read(job, tmp_path)


def test_an_image_size_that_patches_do_not_fill_is_refused(job: JobSpec) -> None:
    with pytest.raises(BaseError, match="image_size 20 is no multiple of 8"):
        load_base(job.model.model_copy(update={"image_size": 20}))
