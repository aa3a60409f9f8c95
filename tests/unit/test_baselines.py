"""The steps of the baselines, against numbers worked out by hand or by a loop beside them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

import pytest
import torch
from torch import Tensor, nn

from shared.algorithms import NAMES
from shared.algorithms.fedper import Family
from shared.algorithms.pfedme import PFedMeAlgorithm
from shared.results import Variant
from tests.support import small
from worker.algorithm.method import NOBODY, Method
from worker.algorithm.methods import method_of
from worker.algorithm.methods.disentafl import Apart
from worker.algorithm.methods.perfedavg import Ahead
from worker.algorithm.methods.pfedme import Moreau
from worker.algorithm.pull import Pull, as_state, values_of
from worker.models.network import State
from worker.training.batches import in_order
from worker.training.checkpoints import FileCheckpoints
from worker.training.trainer import Trainer

pytestmark = pytest.mark.unit

TASKS = ("digits", "reviews", "vqa")


def trainer(name: str, *, tasks: tuple[str, ...] = TASKS, **options: Any) -> Trainer:
    job = small.spec(algorithm={"name": name, **options})
    return Trainer("c01", job, small.network(job, tasks), small.data(job, tasks))


def test_equal_compute_is_as_many_steps_as_tap_makes() -> None:
    def steps(name: str, **options: Any) -> tuple[int, int]:
        done: list[int] = []
        at = replace(trainer(name, **options), on_step=done.append)
        method, server = method_of(at), at.network.state()
        kept = method.round(server, NOBODY, 1).personal
        in_round = len(done)
        method.personalize(server, kept)
        return in_round, len(done) - in_round

    budget = small.spec()
    once = (budget.training.local_steps, budget.post.steps)
    twice = (2 * once[0], 2 * once[1])
    assert steps("fedavg") == steps("local") == once
    assert steps("tap") == twice
    assert steps("fedavg", equal_compute=True) == steps("local", equal_compute=True) == twice


def same(a: State | None, b: State | None) -> bool:
    assert a is not None
    assert b is not None
    return all(torch.equal(a[n][t], v) for n, ts in b.items() for t, v in ts.items())


class Toy:
    """A trainer whose network is one value and whose loss is w^2 / 2."""

    def __init__(self, value: float) -> None:
        self.w = nn.Parameter(torch.tensor([value]))
        self.network = self
        self.components = ("proj",)
        self.device = torch.device("cpu")

    @property
    def trainable(self) -> list[nn.Parameter]:
        return [self.w]

    def tensors(self, _: str) -> dict[str, nn.Parameter]:
        return {"w": self.w}

    def plain(self) -> None:
        raise NotImplementedError

    def backward(self) -> None:
        gradient = self.w.detach().clone()
        self.w.grad = gradient if self.w.grad is None else self.w.grad + gradient

    @property
    def trainer(self) -> Trainer:
        return cast("Trainer", self)


def state(value: float) -> State:
    return {"proj": {"w": torch.tensor([value])}}


def gradient(toy: Toy) -> float:
    assert toy.w.grad is not None
    return float(toy.w.grad)


def test_a_pull_adds_its_strength_times_the_distance() -> None:
    toy = Toy(3.0)
    Pull(toy.trainer, state(1.0), 0.5).gradients(toy.backward)
    assert gradient(toy) == 3.0 + 0.5 * (3.0 - 1.0)
    assert float(toy.w.detach()) == 3.0


def test_what_has_no_gradient_is_not_pulled() -> None:
    toy = Toy(3.0)
    Pull(toy.trainer, state(1.0), 0.5).gradients(lambda: None)
    assert toy.w.grad is None


def test_pfedme_moves_its_anchor_after_each_k_steps() -> None:
    toy = Toy(3.0)
    options = PFedMeAlgorithm(name="pfedme", strength=10.0, inner_steps=2, rate=0.05)
    rule = Moreau(toy.trainer, state(1.0), options)
    rule.stepped(1)
    assert [float(w) for w in rule.tensors()] == [1.0]
    rule.stepped(2)
    assert [float(w) for w in rule.tensors()] == [2.0], "1 - 0.05 * 10 * (1 - 3)"
    rule.gradients(toy.backward)
    assert gradient(toy) == 3.0 + 10.0 * (3.0 - 2.0), "from now on theta is pulled there"


def test_pfedme_sends_what_moved_and_keeps_what_trained() -> None:
    at = trainer("pfedme", inner_steps=2, strength=10.0, rate=0.05)
    server = at.network.state()
    outcome = method_of(at).round(server, NOBODY, 1)
    theta = outcome.personal.model
    assert outcome.engaged is not None
    assert theta is not None
    for name, tensors in theta.items():
        for key, moved in tensors.items():
            begun = server[name][key]
            half = begun + 0.5 * (moved - begun)
            torch.testing.assert_close(outcome.engaged[name][key], half)
    assert not same(outcome.engaged, server)


def test_pfedme_refuses_steps_that_its_engaged_model_would_miss() -> None:
    with pytest.raises(ValueError, match=r"inner_steps is 5, which does not divide .*, 2: "):
        trainer("pfedme")
    with pytest.raises(ValueError, match="inner_steps is 4, which does not divide"):
        small.spec(algorithm={"name": "pfedme", "inner_steps": 4}, training={"local_steps": 10})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": "pfedme", "strength": 15.0}, "rate times strength is 1500: .* 0.0666667 at most"),
        ({"name": "fedper", "keeps": list(get_args(Family))}, "nothing is averaged: leave one out"),
        (
            {"name": "tap", "replacement": "never", "shared_components": "all"},
            "replacement: never forbids: leave one of them out",
        ),
        ({"name": "perfedavg"}, "training.local_steps is 5, .* give an even number"),
    ],
)
def test_options_that_mean_nothing_together_are_refused(
    options: dict[str, Any], sentence: str
) -> None:
    budget = {**small.SPEC["training"], "local_steps": 5}
    with pytest.raises(ValueError, match=sentence):
        small.spec(algorithm=options, training=budget)


def test_perfedavg_takes_the_gradient_a_step_ahead() -> None:
    toy = Toy(2.0)
    Ahead(toy.trainer, 0.25).gradients(toy.backward)
    assert gradient(toy) == 1.5, "the gradient of w^2 / 2 at 2 - 0.25 * 2"
    assert float(toy.w.detach()) == 2.0


def test_perfedavg_steps_half_as_often_and_sees_as_many_samples() -> None:
    seen: dict[str, int] = {}
    for name in ("fedavg", "perfedavg"):
        at = trainer(name)
        steps: list[int] = []
        method_of(replace(at, on_step=steps.append)).round(at.network.state(), NOBODY, 1)
        seen[name] = len(steps)
    assert seen == {"fedavg": 2, "perfedavg": 1}


def test_streams_are_apart_by_the_mean_squared_cosine_of_all_pairs() -> None:
    rule = Apart(trainer("disentafl"), 0.5)
    assert rule.penalty() is None
    rule.seen["image", "a"] = [torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])]
    assert rule.penalty() is None, "one group has nobody to be apart from"
    rule.seen["image", "a"] = [torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])]
    rule.seen["text", "a"] = [torch.tensor([[0.6, 0.8]])]
    rule.seen["text", "b"] = [torch.tensor([[1.0, 0.0]])]
    # a pairs: (0.36 + 0.64) / 2; (1 + 0) / 2; 0.36
    by_hand = 0.5 * (0.5 + 0.5 + 0.36) / 3
    assert float(cast("Tensor", rule.penalty())) == pytest.approx(by_hand)


def test_disentafl_sees_a_group_for_each_modality_and_kind() -> None:
    at = trainer("disentafl")
    rule = Apart(at, 0.5)
    at.network.train()
    for task in TASKS:
        rule.loss(task, first_batch(at, task))
    kinds = {("image", "image_classification"), ("text", "text_classification")}
    vqa = {("image", "text_generation"), ("text", "text_generation")}
    assert set(rule.seen) == kinds | vqa
    for parts in rule.seen.values():
        assert torch.allclose(torch.cat(parts).norm(dim=-1), torch.tensor(1.0))
    penalty = rule.penalty()
    assert penalty is not None
    penalty.backward()
    touched = {
        name
        for name in at.network.components
        if any(p.grad is not None and p.grad.any() for p in at.network.tensors(name).values())
    }
    assert "block.mote.image" in touched
    assert not any(name.startswith(("head.", "block.mome.", "mome.")) for name in touched)


def first_batch(at: Trainer, task: str) -> Any:
    return next(in_order(at.data[task].train, 4))


def test_the_penalty_changes_what_is_learnt() -> None:
    plain, apart = trainer("fedavg"), trainer("disentafl")
    server = plain.network.state()
    one = method_of(plain).round(server, NOBODY, 1).engaged
    other = method_of(apart).round(server, NOBODY, 1).engaged
    assert not same(one, other)


def test_ditto_engages_as_fedavg_and_stays_nearer_than_alone() -> None:
    fedavg, local = trainer("fedavg"), trainer("local")
    server = fedavg.network.state()
    engaged = method_of(fedavg).round(server, NOBODY, 1).engaged
    alone = method_of(local).round(server, NOBODY, 1).personal.model
    outcome = method_of(trainer("ditto", strength=100.0)).round(server, NOBODY, 1)
    assert same(outcome.engaged, engaged)
    near = outcome.personal.model
    assert near is not None
    assert alone is not None
    assert distance(near, server) < distance(alone, server)


def distance(one: State, other: State) -> float:
    return sum(
        float((v - other[n][t]).square().sum()) for n, ts in one.items() for t, v in ts.items()
    )


def test_fedper_keeps_its_heads_and_uploads_the_rest() -> None:
    at = trainer("fedper")
    server = at.network.state()
    first = method_of(at).round(server, NOBODY, 1)
    heads = {f"head.{task}" for task in TASKS}
    assert first.engaged is not None
    assert set(first.engaged) == set(server) - heads
    assert first.personal.model is not None
    begun = {**server, **{n: first.personal.model[n] for n in heads}}
    second = method_of(at).round(server, first.personal, 2)
    by_hand, _ = at.local_steps(begun, 2, "engaged")
    assert same(second.personal.model, by_hand)
    models = method_of(at).final_models(
        server, method_of(at).personalize(server, first.personal).personal
    )
    assert same(models[Variant.PERSONAL], begun)


def test_fedper_may_keep_other_components() -> None:
    at = trainer("fedper", keeps=["head", "mome"])
    outcome = method_of(at).round(at.network.state(), NOBODY, 1)
    assert outcome.engaged is not None
    assert not any(name.startswith(("head.", "mome.")) for name in outcome.engaged)


@pytest.mark.parametrize("name", NAMES)
def test_every_algorithm_has_its_method_and_is_a_function_of_its_arguments(name: str) -> None:
    at = trainer(name, **small.MOVING.get(name, {}))
    method: Method[Any] = method_of(at)
    server = at.network.state()
    outcomes = [method.round(server, NOBODY, 1) for _ in range(2)]
    one, other = outcomes
    assert one.losses == other.losses
    if one.engaged is not None:
        assert same(one.engaged, other.engaged)
        assert set(one.engaged) == set(filter(at.spec.algorithm.shares, server))
    second = method.round(server, one.personal, 2)
    if at.spec.algorithm.personalizes:
        final = method.personalize(server, second.personal).personal
        assert method.final_models(server, final)


class Killed(Exception):  # noqa: N818 - what happens to a process
    """The process ends here."""


@pytest.mark.parametrize("name", NAMES)
def test_a_round_goes_on_after_a_kill_with_the_same_bits(name: str, tmp_path: Path) -> None:
    steps = {**small.SPEC["training"], "local_steps": 6}
    job = small.spec(algorithm={"name": name, **small.MOVING.get(name, {})}, training=steps)
    at = Trainer("c01", job, small.network(job, TASKS), small.data(job, TASKS))
    server = at.network.state()
    whole = method_of(at).round(server, NOBODY, 1)
    checkpoints = FileCheckpoints(tmp_path / "a", every_s=0)
    killed = replace(at, checkpoints=checkpoints, on_step=killing())
    with pytest.raises(Killed):
        method_of(killed).round(server, NOBODY, 1)
    again = method_of(replace(at, checkpoints=checkpoints)).round(server, NOBODY, 1)
    finished = method_of(replace(at, checkpoints=checkpoints)).round(server, NOBODY, 1)
    for outcome in (again, finished):
        assert outcome.losses == whole.losses
        if whole.engaged is not None:
            assert same(outcome.engaged, whole.engaged)
        if whole.personal.model is not None:
            assert same(outcome.personal.model, whole.personal.model)


def killing() -> Callable[[int], None]:
    def on_step(done: int) -> None:
        if done == 3:
            raise Killed

    return on_step


def test_values_and_states_are_the_same_thing() -> None:
    network = small.network(small.spec(), TASKS)
    found = network.state()
    assert same(as_state(network, values_of(network, found)), found)
