"""Properties of the model over both families and every kind of task (ALGORITHM 2, 4 and 5)."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from shared.job_spec import JobSpec
from tests.support import decoding, small
from worker.algorithm.losses import task_loss
from worker.models.base import load_base
from worker.models.blocks import Domains
from worker.models.network import Batch, Network
from worker.models.parts import make_part
from worker.training.batches import select

pytestmark = pytest.mark.unit

JOBS = {
    f"{family}-{trainable}": small.family_spec(family, trainable)
    for family in ("flava", "vilt")
    for trainable in ("full", "lora")
}
FULL = JOBS["flava-full"]
TASKS = sorted(FULL.tasks)


@pytest.fixture(params=sorted(JOBS))
def job(request: pytest.FixtureRequest) -> JobSpec:
    return JOBS[request.param]


def batch(job: JobSpec, task: str, n: int = 6) -> Batch:
    return select(small.split(job, task, n), torch.arange(n))


def loss(network: Network, task: str, samples: Batch) -> Tensor:
    kind, pad = network.spec.tasks[task].kind, network.base.tokenizer.pad_id
    return task_loss(kind, samples, network(task, samples), pad)


@pytest.mark.parametrize("task", TASKS)
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
def test_a_network_of_the_tasks_own_components_gives_the_same(job: JobSpec, task: str) -> None:
    samples = batch(job, task)
    whole, own = small.network(job), small.network(job, [task])
    assert torch.equal(whole(task, samples), own(task, samples))


def test_a_component_starts_the_same_whichever_others_exist(job: JobSpec) -> None:
    whole, few = small.network(job).state(), small.network(job, ["digits"]).state()
    assert all(
        torch.equal(whole[name][tensor], values)
        for name, tensors in few.items()
        for tensor, values in tensors.items()
    )


def test_a_state_comes_back_whole(job: JobSpec) -> None:
    network = small.network(job)
    state = {
        name: {t: torch.randn_like(v) for t, v in tensors.items()}
        for name, tensors in network.state().items()
    }
    network.load(state)
    back = network.state()
    assert all(torch.equal(back[n][t], v) for n, ts in state.items() for t, v in ts.items())


def test_a_state_that_does_not_fit_is_refused_by_name(job: JobSpec) -> None:
    network = small.network(job, ["digits"])
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


def test_the_word_embeddings_neither_train_nor_travel_unless_asked(job: JobSpec) -> None:
    table = load_base(job.model).backbone.words.numel()
    sizes = [p.numel() for p in small.network(job).tensors("encoder.text").values()]
    assert table not in sizes
    asked = small.family_spec(job.model.family, "full", train_embeddings=True)
    sizes = [p.numel() for p in small.network(asked).tensors("encoder.text").values()]
    assert table in sizes


def test_paths_through_a_block_do_not_feel_each_other(job: JobSpec) -> None:
    base = load_base(job.model)
    parts = {str(c): c for c in small.task_components(job, "reviews")}
    block = make_part(parts["block.mote.text"], job, base)
    names = ("mote.0.text.shared", "mote.0.text.text_classification")
    experts = [make_part(parts[name], job, base) for name in names]
    expert = make_part(parts["domain.mote.text.0.tweets"], job, base)
    torch.nn.init.ones_(expert.get_parameter("value.b"))
    domains = Domains(torch.tensor([0, 1, 0]), {1: expert})
    a, b = torch.randn(2, 3, 5, 16)
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2, [True] * 4 + [False]])
    together = block([a, b], mask, [experts], [domains])
    alone = [block([x], mask, [[e]], [domains])[0] for x, e in zip((a, b), experts, strict=True)]
    for found, expected in zip(together, alone, strict=True):
        assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("task", ["reviews", "titles", "vqa"])
def test_padding_changes_nothing(job: JobSpec, task: str) -> None:
    network = small.network(job).eval()
    samples = batch(job, task)
    assert samples.tokens is not None
    pad = torch.full((6, 3), network.base.tokenizer.pad_id)
    longer = replace(samples, tokens=torch.cat([samples.tokens, pad], dim=1))
    assert torch.allclose(network(task, samples), network(task, longer), atol=1e-5)


def test_an_answer_depends_on_the_image_and_on_the_question(job: JobSpec) -> None:
    network = small.network(job).eval()
    samples = batch(job, "vqa")
    assert samples.images is not None
    assert samples.tokens is not None
    given = network("vqa", samples)
    for changed in (
        replace(samples, images=255 - samples.images),
        replace(samples, tokens=samples.tokens.roll(1, 0)),
    ):
        assert not torch.allclose(given, network("vqa", changed), atol=1e-4)


def test_an_answer_does_not_look_ahead(job: JobSpec) -> None:
    network = small.network(job).eval()
    samples = batch(job, "vqa")
    assert samples.targets is not None
    later = samples.targets.clone()
    later[:, 3] = 7
    given, changed = network("vqa", samples), network("vqa", replace(samples, targets=later))
    assert torch.allclose(given[:, :3], changed[:, :3], atol=1e-6)


def likelihood(network: Network, samples: Batch, words: Tensor) -> Tensor:
    """Mean nats per token of each generated text, its end token included. (B,)"""
    ends = words[:, 1:] == network.base.tokenizer.end_id
    counts = ends.cumsum(1) - ends.long() == 0
    logits = network("vqa", replace(samples, targets=words))
    each = logits.detach().log_softmax(-1).gather(2, words[:, 1:, None]).squeeze(2)
    mean: Tensor = (each * counts).sum(1) / counts.sum(1)
    return mean


def spoken(job: JobSpec, spread: float = 0.7) -> tuple[Network, Batch]:
    """A network whose texts differ, half of them ending at once, and samples."""
    samples = batch(job, "vqa", 24)
    return decoding.talkative(small.network(job).eval(), "vqa", samples, spread), samples


def test_decoding_with_a_cache_is_decoding_without(job: JobSpec) -> None:
    network, samples = spoken(job)
    pad = network.base.tokenizer.pad_id
    said, found = decoding.greedy(network, "vqa", samples), network.generate("vqa", samples)
    assert torch.equal(found, said[:, : found.shape[1]])
    assert bool((said[:, found.shape[1] :] == pad).all())
    lengths = set((found != pad).sum(1).tolist())
    assert len(lengths) > 1, "some end early"


def test_a_batch_that_is_read_once_gives_what_it_gives_when_read_twice(job: JobSpec) -> None:
    network, samples = spoken(job)
    with torch.no_grad():
        logits, said = network.read_and_write("vqa", samples)
        assert torch.equal(logits, network("vqa", samples))
    assert torch.equal(said, network.generate("vqa", samples))


def test_behind_the_end_there_is_padding_only(job: JobSpec) -> None:
    network, samples = spoken(job)
    words = network.base.tokenizer
    for beams in (1, 3):
        for text in network.generate("vqa", samples, beams).tolist():
            end = text.index(words.end_id) if words.end_id in text else len(text)
            assert set(text[end + 1 :]) <= {words.pad_id}


def test_beams_find_texts_at_least_as_likely_and_often_likelier(job: JobSpec) -> None:
    network, samples = spoken(job, spread=0.3)
    greedy = likelihood(network, samples, network.generate("vqa", samples))
    beams = likelihood(network, samples, network.generate("vqa", samples, beams=6))
    assert float(beams.mean()) > float(greedy.mean())


def test_generated_text_starts_and_ends(job: JobSpec) -> None:
    network = small.network(job).eval()
    words = network.generate("vqa", batch(job, "vqa"))
    tokens = network.base.tokenizer
    assert bool((words[:, 0] == tokens.start_id).all())
    assert words.shape[1] <= job.tasks["vqa"].max_target_tokens + 1


def test_each_sample_gets_its_own_domains_expert(job: JobSpec) -> None:
    network = small.network(job)
    samples = batch(job, "reviews")
    with torch.no_grad():
        for stream in ("shared", "text"):
            for tensor in network.tensors(f"domain.mote.{stream}.0.tweets").values():
                tensor.add_(1.0)
    changed = network("reviews", samples)
    plain = small.network(job)("reviews", samples)
    same = torch.tensor([torch.allclose(a, b) for a, b in zip(changed, plain, strict=True)])
    assert same.tolist() == (samples.domains == 0).tolist()
