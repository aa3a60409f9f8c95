"""What must hold for each of the paper's ten patterns of clients, on both backbones.

Run with the paper's LoRA and layers on small random bases (tests/support/patterns.py).
"""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from shared.components import Modality, TaskKind
from shared.model_spec import Family
from tests.support import decoding, paper, patterns
from tests.support.patterns import Client, changed, client, everyone, moved, personal, same
from worker.algorithm.distillation import distillation_loss
from worker.algorithm.losses import task_loss
from worker.algorithm.method import NOBODY
from worker.algorithm.methods import method_of
from worker.algorithm.replacement import decide
from worker.algorithm.replacement import replace as replaced
from worker.models.network import Batch, Network

pytestmark = pytest.mark.unit

each_client = pytest.mark.parametrize(("family", "pattern"), patterns.CLIENTS)
each_writer = pytest.mark.parametrize(("family", "pattern"), patterns.WRITERS)
each_family = pytest.mark.parametrize("family", sorted(paper.PATTERNS))
BIG = 1e9  # a loss that every engaged model beats; none beats 0


# --- C(o), and what an image has to do with texts ---


def loss(network: Network, task: str, samples: Batch) -> Tensor:
    """The loss of each sample. (B,)"""
    kind, pad = network.spec.tasks[task].kind, network.base.tokenizer.pad_id
    return task_loss(kind, samples, network(task, samples), pad)


def gradients(network: Network, task: str, samples: Batch) -> dict[str, dict[str, Tensor | None]]:
    """Of each component's tensors, from one task alone."""
    loss(network, task, samples).mean().backward()
    return {n: {t: p.grad for t, p in network.tensors(n).items()} for n in network.components}


@each_client
@pytest.mark.parametrize("trainable", ["full", "lora"])
def test_every_tensor_of_a_tasks_components_gets_a_gradient_and_no_other(
    family: Family, pattern: int, trainable: str
) -> None:
    """In the network of all patterns, so that there is an outside."""
    at = everyone(family, trainable)
    for task in paper.PATTERNS[family][pattern]:
        found = gradients(at.at(at.stepped), task, at.batch(task))
        reached = {
            n for n, tensors in found.items() if any(g is not None for g in tensors.values())
        }
        assert reached == at.names(task)
        still = {
            f"{n} {t}" for n in reached for t, g in found[n].items() if g is None or not g.any()
        }
        assert not still


@each_client
def test_at_the_start_only_the_first_factors_of_low_rank_pairs_get_none(
    family: Family, pattern: int
) -> None:
    """Their second factors are zero, so the first ones change nothing yet."""
    at = client(family, pattern)
    for task in at.tasks:
        found = gradients(at.at(at.start), task, at.batch(task))
        for name in at.names(task):
            for tensor, gradient in found[name].items():
                first = "lora_A" in tensor or tensor in {"query.a", "value.a"}
                assert gradient is not None
                assert bool(gradient.any()) is not first, f"{name} {tensor}"


def of_texts(at: Client) -> set[str]:
    """The components of a client that read or judge texts."""
    marks = {Modality.TEXT, TaskKind.TEXT_CLASSIFICATION, TaskKind.TEXT_GENERATION}
    heads = {f"head.{t}" for t in at.tasks if Modality.TEXT in at.job.tasks[t].modalities}
    return {n for n in at.network.components if marks & set(n.split("."))} | heads


BOTH = [
    (family, i)
    for family, i in patterns.CLIENTS
    if {tuple(paper.TASKS[task]["modalities"]) for task in paper.PATTERNS[family][i]}
    == {("image",), ("text",)}
]


@pytest.mark.parametrize(("family", "pattern"), BOTH)
def test_an_image_task_touches_no_text_component(family: Family, pattern: int) -> None:
    at = client(family, pattern)
    texts = of_texts(at)
    [task] = [t for t in at.tasks if Modality.TEXT not in at.job.tasks[t].modalities]
    assert texts >= {"encoder.text", "block.mote.text", "mote.0.text.shared", "mome.0.shared.text"}
    network = at.at(at.start)
    assert not texts & at.names(task)
    found = gradients(network, task, at.batch(task))
    assert all(g is None for name in texts for g in found[name].values())
    losses = {t: BIG if t == task else 0.0 for t in at.tasks}
    decisions = decide(dict.fromkeys(at.tasks, 1.0), losses, dict.fromkeys(at.tasks, 0.0))
    mixed = replaced(at.start, moved(at.start), decisions, at.trainer().component_sets)
    assert not texts & changed(mixed, at.start)
    trained, _ = at.trainer([task]).local_steps(at.start, 1, "engaged")
    assert changed(trained, at.start) == at.names(task)


def test_of_each_family_three_patterns_have_an_image_task_beside_a_text_task() -> None:
    assert [pattern for _, pattern in BOTH] == [7, 8, 9] * 2


# --- X and Z ---


@each_client
def test_the_engaged_model_feels_nothing_of_the_personal_one(family: Family, pattern: int) -> None:
    at = client(family, pattern)
    alone, _ = at.trainer().local_steps(at.start, 2, "engaged")
    z = moved(at.start)
    kept = {n: {t: v.clone() for t, v in tensors.items()} for n, tensors in z.items()}
    for given in (
        NOBODY,
        personal(z, dict.fromkeys(at.tasks, 0.0)),
        personal(z, dict.fromkeys(at.tasks, BIG)),
    ):
        outcome = method_of(at.trainer()).round(at.start, given, 2)
        assert outcome.engaged is not None
        assert same(outcome.engaged, alone)
    assert same(z, kept), "what was there before stays as it was"


@each_client
def test_without_a_replacement_the_personal_model_goes_on_from_itself(
    family: Family, pattern: int
) -> None:
    at = client(family, pattern)
    z = moved(at.start)
    alone, _ = at.trainer().local_steps(z, 2, "personal")
    for server in (at.start, moved(at.start, 0.02)):
        mine = personal(z, dict.fromkeys(at.tasks, 0.0))
        outcome = method_of(at.trainer()).round(server, mine, 2)
        assert not [d for d in outcome.decisions if d.replaced]
        assert outcome.personal.model is not None
        assert same(outcome.personal.model, alone)


@each_client
def test_replacing_a_task_changes_exactly_its_components(family: Family, pattern: int) -> None:
    at = client(family, pattern)
    z = moved(at.start)
    x, _ = at.trainer().local_steps(at.start, 2, "engaged")
    for task in at.tasks:
        losses = {t: BIG if t == task else 0.0 for t in at.tasks}
        outcome = method_of(at.trainer()).round(at.start, personal(z, losses), 2)
        assert [d.task for d in outcome.decisions if d.replaced] == [task]
        start = replaced(z, x, outcome.decisions, at.trainer().component_sets)
        assert changed(start, z) == at.names(task)
        mixed = {name: (x if name in at.names(task) else z)[name] for name in z}
        assert same(start, mixed)
        trained, _ = at.trainer().local_steps(mixed, 2, "personal")
        assert outcome.personal.model is not None
        assert same(outcome.personal.model, trained)


# --- texts: padding, what they depend on, how they are decoded ---

READERS = [
    (family, i)
    for family, i in patterns.CLIENTS
    if any("text" in paper.TASKS[task]["modalities"] for task in paper.PATTERNS[family][i])
]


def shortened(samples: Batch, row: int, pad: int) -> Batch:
    """One sample alone, without the padding that it has among longer ones."""
    alone = samples.part(slice(row, row + 1))
    assert alone.tokens is not None
    tokens = alone.tokens[:, : int((alone.tokens != pad).sum())]
    if alone.targets is None:
        return replace(alone, tokens=tokens)
    return replace(
        alone, tokens=tokens, targets=alone.targets[:, : int((alone.targets != pad).sum())]
    )


@pytest.mark.parametrize(("family", "pattern"), READERS)
def test_padding_changes_neither_features_nor_losses(family: Family, pattern: int) -> None:
    at = client(family, pattern)
    network = at.at(at.stepped)
    pad = network.base.tokenizer.pad_id
    for task in at.tasks:
        if Modality.TEXT in at.job.tasks[task].modalities:
            samples = at.batch(task)
            for row in (0, 1):
                alone = shortened(samples, row, pad)
                assert alone.tokens is not None
                assert samples.tokens is not None
                assert (alone.tokens.shape != samples.tokens[:1].shape) is (row == 0)
                assert_alike(network, task, samples, row, alone)


def assert_alike(network: Network, task: str, samples: Batch, row: int, alone: Batch) -> None:
    """A sample's features and losses alone are those that it has in a batch."""
    with torch.no_grad():
        padded, own = (network.features(task, batch) for batch in (samples, alone))
        losses = [
            [float(of(network, task, batch)[i]) for of in (loss, taught)]
            for batch, i in ((samples, row), (alone, 0))
        ]
    assert torch.allclose(padded.pooled[row], own.pooled[0], atol=1e-5)
    assert torch.allclose(padded.tokens[row][padded.mask[row]], own.tokens[0], atol=1e-5)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5, abs=1e-5)


def taught(network: Network, task: str, samples: Batch) -> Tensor:
    """The distillation loss against a teacher whose outputs are the student's, sharpened. (B,)"""
    output = network(task, samples)
    kind, pad = network.spec.tasks[task].kind, network.base.tokenizer.pad_id
    return distillation_loss(kind, samples, output, 3 * output, 1.0, pad)


@each_writer
def test_a_text_depends_on_all_that_its_task_reads(family: Family, pattern: int) -> None:
    """As initialised: what is asked for, and what is said of its own."""
    at = client(family, pattern)
    network = at.at(at.start)
    for task in at.tasks:
        if at.job.tasks[task].kind is TaskKind.TEXT_GENERATION:
            samples = at.batch(task)
            own = replace(samples, targets=network.generate(task, samples))
            for given in (samples, own):
                for other in others(given, at.job.tasks[task].modalities):
                    before, after = network(task, given), network(task, other)
                    apart = (before - after).detach().abs().amax(dim=(1, 2))
                    assert float(apart.min()) > 1e-4, "for each sample"


def others(samples: Batch, modalities: tuple[Modality, ...]) -> list[Batch]:
    """The same samples with another image, with another text."""
    found = []
    if Modality.IMAGE in modalities:
        assert samples.images is not None
        found.append(replace(samples, images=samples.images.roll(1, 0)))
    if Modality.TEXT in modalities:
        assert samples.tokens is not None
        found.append(replace(samples, tokens=samples.tokens.roll(1, 0)))
    return found


@each_writer
def test_texts_are_the_same_with_and_without_a_cache(family: Family, pattern: int) -> None:
    at = client(family, pattern)
    for task in at.tasks:
        if at.job.tasks[task].kind is TaskKind.TEXT_GENERATION:
            samples = at.batch(task)
            network = decoding.talkative(at.at(at.start), task, samples)
            pad = network.base.tokenizer.pad_id
            wanted, found = decoding.greedy(network, task, samples), network.generate(task, samples)
            assert torch.equal(found, wanted[:, : found.shape[1]])
            assert bool((wanted[:, found.shape[1] :] == pad).all())
            assert len({tuple(text) for text in found.tolist()}) > 1
            searched = network.generate(task, samples, beams=3)
            for row, text in enumerate(searched.tolist()):
                alone = samples.part(slice(row, row + 1))
                assert [w for w in text if w != pad] == decoding.beams(network, task, alone, 3)
