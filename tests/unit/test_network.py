"""Properties of the model over every kind of task (ALGORITHM 2, 4 and 5)."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from transformers import FlavaTextModel

from shared.job_spec import JobSpec
from tests.support import small
from worker.algorithm.losses import task_loss
from worker.models.base import load_base
from worker.models.blocks import NO_DOMAINS, Domains
from worker.models.network import Batch, Network
from worker.models.parts import make_part
from worker.training.batches import select

pytestmark = pytest.mark.unit

FULL, LORA = small.spec(), small.lora_spec()
TASKS = sorted(FULL.tasks)


def batch(job: JobSpec, task: str, n: int = 6) -> Batch:
    return select(small.split(job, task, n), torch.arange(n))


def loss(network: Network, task: str, samples: Batch) -> Tensor:
    kind, pad = network.spec.tasks[task].kind, network.base.tokenizer.pad_id
    return task_loss(kind, samples, network(task, samples), pad)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("job", [FULL, LORA], ids=["full", "lora"])
def test_a_task_trains_exactly_its_components(job: JobSpec, task: str) -> None:
    network = small.network(job)
    loss(network, task, batch(job, task)).mean().backward()
    trained = {
        name
        for name in network.components
        if any(p.grad is not None and bool(p.grad.any()) for p in network.tensors(name).values())
    }
    assert trained == {str(c) for c in small.task_components(job, task)}


@pytest.mark.parametrize("task", TASKS)
def test_a_network_of_the_tasks_own_components_gives_the_same(task: str) -> None:
    samples = batch(FULL, task)
    whole, own = small.network(FULL), small.network(FULL, [task])
    assert torch.equal(whole(task, samples), own(task, samples))


def test_a_component_starts_the_same_whichever_others_exist() -> None:
    whole, few = small.network(FULL).state(), small.network(FULL, ["digits"]).state()
    assert all(
        torch.equal(whole[name][tensor], values)
        for name, tensors in few.items()
        for tensor, values in tensors.items()
    )


def test_a_state_comes_back_whole() -> None:
    network = small.network(FULL)
    state = {
        name: {t: torch.randn_like(v) for t, v in tensors.items()}
        for name, tensors in network.state().items()
    }
    network.load(state)
    back = network.state()
    assert all(torch.equal(back[n][t], v) for n, ts in state.items() for t, v in ts.items())


def test_a_state_that_does_not_fit_is_refused_by_name() -> None:
    network = small.network(FULL, ["digits"])
    state = network.state()
    proj = state.pop("proj")
    state["head.other"] = proj
    del state["head.digits"]["layers.2.bias"]
    with pytest.raises(ValueError, match="does not fit") as caught:
        network.load(state)
    for named in ("'proj' is missing", "'head.other' is extra", "'layers.2.bias' is missing"):
        assert named in str(caught.value)
    with pytest.raises(ValueError, match="has shape"):
        network.load(
            {**network.state(), "proj": {"weight": proj["weight"][:1], "bias": proj["bias"]}}
        )


def test_the_word_embeddings_neither_train_nor_travel_unless_asked() -> None:
    table = load_base(FULL.model).words.numel()
    sizes = [p.numel() for p in small.network(FULL).tensors("encoder.text").values()]
    assert table not in sizes
    asked = small.spec(model={**small.SPEC["model"], "train_embeddings": True})
    sizes = [p.numel() for p in small.network(asked).tensors("encoder.text").values()]
    assert table in sizes


def test_frozen_weights_exist_once_in_memory() -> None:
    base = load_base(LORA.model)
    frozen = {id(p) for p in base.model.parameters()}
    network = small.network(LORA)
    own = {id(p) for name in network.components for p in network.tensors(name).values()}
    norms = {id(p) for p in network.parameters()} - frozen - own
    assert not norms


def test_the_frozen_text_path_is_the_librarys_own() -> None:
    base = load_base(LORA.model)
    samples = batch(LORA, "reviews")
    network = small.network(LORA).eval()
    found, mask = network._encode(LORA.tasks["reviews"].modalities[0], samples)
    library: FlavaTextModel = base.model.text_model
    expected = library(input_ids=samples.tokens, attention_mask=mask.long()).last_hidden_state
    assert torch.allclose(found[mask], expected[mask], atol=1e-5)


def test_a_block_with_its_first_expert_is_the_librarys_layer() -> None:
    base = load_base(LORA.model)
    parts = {str(c): c for c in small.task_components(LORA, "digits")}
    block = make_part(parts["block.mote.image"], LORA, base).eval()
    expert = make_part(parts["mote.0.image.shared"], LORA, base).eval()
    x = torch.randn(3, 5, 16)
    mask = torch.ones(3, 5, dtype=torch.bool)
    first, second = block([x], mask, [[expert, expert]], [NO_DOMAINS])
    assert torch.equal(first, second)
    assert torch.allclose(first, base.fusion_layer(0)(x)[0], atol=1e-5)


def test_paths_through_a_block_do_not_feel_each_other() -> None:
    base = load_base(FULL.model)
    parts = {str(c): c for c in small.task_components(FULL, "reviews")}
    block = make_part(parts["block.mote.text"], FULL, base)
    names = ("mote.0.text.shared", "mote.0.text.text_classification")
    experts = [make_part(parts[name], FULL, base) for name in names]
    expert = make_part(parts["domain.mote.text.0.tweets"], FULL, base)
    torch.nn.init.ones_(expert.get_parameter("value.b"))
    domains = Domains(torch.tensor([0, 1, 0]), {1: expert})
    a, b = torch.randn(2, 3, 5, 16)
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2, [True] * 4 + [False]])
    together = block([a, b], mask, [experts], [domains])
    alone = [block([x], mask, [[e]], [domains])[0] for x, e in zip((a, b), experts, strict=True)]
    for found, expected in zip(together, alone, strict=True):
        assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("task", ["reviews", "titles", "vqa"])
def test_padding_changes_nothing(task: str) -> None:
    network = small.network(FULL).eval()
    samples = batch(FULL, task)
    assert samples.tokens is not None
    pad = torch.full((6, 3), network.base.tokenizer.pad_id)
    longer = replace(samples, tokens=torch.cat([samples.tokens, pad], dim=1))
    assert torch.allclose(network(task, samples), network(task, longer), atol=1e-5)


def test_an_answer_depends_on_the_image_and_on_the_question() -> None:
    network = small.network(FULL).eval()
    samples = batch(FULL, "vqa")
    assert samples.images is not None
    assert samples.tokens is not None
    given = network("vqa", samples)
    for changed in (
        replace(samples, images=255 - samples.images),
        replace(samples, tokens=samples.tokens.roll(1, 0)),
    ):
        assert not torch.allclose(given, network("vqa", changed), atol=1e-4)


def test_an_answer_does_not_look_ahead() -> None:
    network = small.network(FULL).eval()
    samples = batch(FULL, "vqa")
    assert samples.targets is not None
    later = samples.targets.clone()
    later[:, 3] = 7
    given, changed = network("vqa", samples), network("vqa", replace(samples, targets=later))
    assert torch.allclose(given[:, :3], changed[:, :3], atol=1e-6)


def test_generated_text_starts_and_ends() -> None:
    network = small.network(FULL).eval()
    words = network.generate("vqa", batch(FULL, "vqa"))
    tokens = network.base.tokenizer
    assert bool((words[:, 0] == tokens.start_id).all())
    assert words.shape[1] <= FULL.tasks["vqa"].max_target_tokens + 1


def test_each_sample_gets_its_own_domains_expert() -> None:
    network = small.network(FULL)
    samples = batch(FULL, "reviews")
    with torch.no_grad():
        for stream in ("shared", "text"):
            for tensor in network.tensors(f"domain.mote.{stream}.0.tweets").values():
                tensor.add_(1.0)
    changed = network("reviews", samples)
    plain = small.network(FULL)("reviews", samples)
    same = torch.tensor([torch.allclose(a, b) for a, b in zip(changed, plain, strict=True)])
    assert same.tolist() == (samples.domains == 0).tolist()
