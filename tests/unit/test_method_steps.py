"""Each algorithm's later rounds and last steps, spelt out as steps from one model to the next.

A first round tells little: the personal model, the version and the engaged model begin as one.
"""

from dataclasses import replace as changed
from typing import Any

import pytest
import torch
from torch import Tensor

from shared.results import Variant
from tests.support import small
from worker.algorithm.distillation import taught_by
from worker.algorithm.method import NOBODY, Method, Outcome, Personal
from worker.algorithm.methods import method_of
from worker.algorithm.methods.disentafl import Apart
from worker.algorithm.methods.pfedme import Moreau
from worker.algorithm.pull import Pull
from worker.algorithm.replacement import replace
from worker.models.network import State
from worker.training.batches import in_order
from worker.training.loop import Rule
from worker.training.trainer import Trainer

pytestmark = pytest.mark.unit

TASKS = ("digits", "reviews")


class Played:
    """A client behind its first round, and the version that the next one starts from."""

    def __init__(self, name: str, **options: Any) -> None:
        budget = {**small.SPEC["training"], "local_steps": 4}
        job = small.spec(algorithm={"name": name, **options}, training=budget)
        self.at = Trainer("c01", job, small.network(job, TASKS), small.data(job, TASKS))
        self.method: Method[Any] = method_of(self.at)
        begun = self.at.network.state()
        first = self.method.round(begun, NOBODY, 1)
        self.before: Personal = first.personal
        self.server = moved(begun)

    @property
    def z(self) -> State:
        """The client's own model."""
        assert self.before.model is not None
        return self.before.model

    def second(self) -> Outcome:
        """Its second round."""
        return self.method.round(self.server, self.before, 2)

    def last(self) -> dict[Variant, State]:
        """Its models when all is over."""
        return dict(self.method.personalize(self.server, self.before).personal.models)


def moved(state: State) -> State:
    """What others have made of a version meanwhile."""
    chance = torch.Generator().manual_seed(5)

    def noise(like: Tensor) -> Tensor:
        return 0.02 * torch.randn(like.shape, generator=chance)

    return {n: {t: value + noise(value) for t, value in ts.items()} for n, ts in state.items()}


def check_same(found: State | None, wanted: State) -> None:
    assert found is not None
    assert found.keys() == wanted.keys()
    for name, tensors in wanted.items():
        for key, value in tensors.items():
            assert torch.equal(found[name][key], value), (name, key)


def test_tap_trains_z_on_from_what_it_took_over_and_remembers_z_s_own_losses() -> None:
    tap = Played("tap")
    tap.before = changed(tap.before, losses={"digits": 0.0, "reviews": 1e9})
    outcome = tap.second()
    x, x_losses = tap.at.local_steps(tap.server, 2, "engaged")
    start = replace(tap.z, x, outcome.decisions, tap.at.component_sets)
    z, z_losses = tap.at.local_steps(start, 2, "personal")
    assert [each.replaced for each in outcome.decisions] == [False, True]
    assert [each.engaged_loss for each in outcome.decisions] == list(x_losses.values())
    check_same(outcome.engaged, x)
    check_same(outcome.personal.model, z)
    assert outcome.personal.losses == z_losses
    assert z_losses != x_losses


def test_tap_s_teacher_is_the_last_version_trained_and_speaks_at_the_temperature() -> None:
    tap = Played("tap", temperature=2.0)
    models = tap.last()
    teacher, _ = tap.at.post_steps(tap.server)
    rule = Rule(taught_by(tap.at, teacher, 2.0))
    student, _ = tap.at.post_steps(tap.z, "distill", rule)
    check_same(models[Variant.POST_TRAINED], teacher)
    check_same(models[Variant.PERSONAL], tap.z)
    check_same(models[Variant.DISTILLED], student)


def test_ditto_trains_z_on_near_the_version_that_came() -> None:
    ditto = Played("ditto", strength=2.0)
    outcome = ditto.second()
    x, _ = ditto.at.local_steps(ditto.server, 2, "engaged")
    near = Pull(ditto.at, ditto.server, 2.0)
    z, losses = ditto.at.local_steps(ditto.z, 2, "personal", near)
    check_same(outcome.engaged, x)
    check_same(outcome.personal.model, z)
    assert outcome.personal.losses == losses
    last, _ = ditto.at.post_steps(ditto.z, rule=Pull(ditto.at, ditto.server, 2.0))
    check_same(ditto.last()[Variant.POST_TRAINED], last)


def test_pfedme_begins_both_models_at_the_version_that_came() -> None:
    pfedme = Played("pfedme", inner_steps=2, strength=0.5, rate=1.0)
    outcome = pfedme.second()
    rule = Moreau(pfedme.at, pfedme.server, pfedme.method.options)
    theta, _ = pfedme.at.local_steps(pfedme.server, 2, "personal", rule)
    check_same(outcome.personal.model, theta)
    last, _ = pfedme.at.post_steps(pfedme.server, rule=Pull(pfedme.at, pfedme.server, 0.5))
    models = pfedme.last()
    check_same(models[Variant.POST_TRAINED], last)
    check_same(models[Variant.PERSONAL], pfedme.z)


def test_local_s_last_steps_go_on_from_its_own_model() -> None:
    local = Played("local")
    models = local.last()
    check_same(models[Variant.PERSONAL], local.z)
    check_same(models[Variant.POST_TRAINED], local.at.post_steps(local.z)[0])


@pytest.mark.parametrize("name", ["fedavg", "disentafl", "perfedavg"])
def test_an_averaged_model_s_last_steps_are_plain_and_from_the_last_version(name: str) -> None:
    averaged = Played(name)
    last = averaged.last()[Variant.POST_TRAINED]
    check_same(last, averaged.at.post_steps(averaged.server)[0])


def test_fedper_goes_on_from_the_version_with_its_own_head() -> None:
    fedper = Played("fedper")
    own = {f"head.{task}" for task in TASKS}
    start = {name: (fedper.z if name in own else fedper.server)[name] for name in fedper.server}
    x, _ = fedper.at.local_steps(start, 2, "engaged")
    outcome = fedper.second()
    check_same(outcome.engaged, {name: x[name] for name in x if name not in own})
    check_same(outcome.personal.model, x)
    check_same(fedper.last()[Variant.POST_TRAINED], fedper.at.post_steps(start)[0])


def test_disentafl_keeps_the_task_s_streams_apart_and_not_the_shared_ones() -> None:
    tasks = ("digits", "vqa")
    job = small.spec(algorithm={"name": "disentafl"})
    at = Trainer("c01", job, small.network(job, tasks), small.data(job, tasks))
    rule = Apart(at, 0.5)
    at.network.train()
    for task in tasks:
        rule.loss(task, next(in_order(at.data[task].train, 4)))
    penalty = rule.penalty()
    assert penalty is not None
    penalty.backward()

    def felt(stream: str) -> bool:
        tensors = at.network.tensors(f"mote.0.image.{stream}").values()
        return any(value.grad is not None and bool(value.grad.any()) for value in tensors)

    assert felt("image_classification")
    assert felt("text_generation")
    assert not felt("shared")
