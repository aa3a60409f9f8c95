"""Who teaches in stage two: the locally trained engaged model, everywhere or where it is better."""

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from shared.results import Variant
from tests.support import small
from worker.algorithm import guard
from worker.algorithm.distillation import taught_by
from worker.algorithm.method import Personal
from worker.algorithm.methods import method_of
from worker.metrics.measured import Decisive
from worker.models.network import State
from worker.training import seeds
from worker.training.batches import batches
from worker.training.trainer import Trainer

pytestmark = pytest.mark.unit

P, T, D = Variant.PERSONAL, Variant.POST_TRAINED, Variant.DISTILLED
TASKS = ("digits", "reviews")


def trainer(**algorithm: Any) -> Trainer:
    job = small.spec(algorithm={"name": "tap", **algorithm})
    return Trainer("c01", job, small.network(job, TASKS), small.data(job, TASKS))


def other_than(state: State) -> State:
    return {n: {t: v + 0.05 for t, v in tensors.items()} for n, tensors in state.items()}


def same(a: State, b: State) -> bool:
    return all(torch.equal(a[n][t], v) for n, tensors in b.items() for t, v in tensors.items())


@pytest.mark.parametrize(
    ("teacher", "student", "teaches"),
    [
        # skill and loss of each
        ((0.6, 0.9), (0.5, 0.1), True),
        ((0.5, 0.1), (0.6, 0.9), False),
        ((0.5, 0.4), (0.5, 0.5), True),
        ((0.5, 0.5), (0.5, 0.5), False),
        ((math.nan, 0.1), (-3.0, 9.0), False),
        ((-3.0, 9.0), (0.5, math.nan), True),
    ],
)
def test_who_is_no_better_does_not_teach(
    teacher: tuple[float, float], student: tuple[float, float], *, teaches: bool
) -> None:
    found = {T: {"digits": Decisive(*teacher)}, P: {"digits": Decisive(*student)}}
    assert guard.teachable(found) == ({"digits"} if teaches else set())


def test_a_task_without_a_teacher_has_its_own_loss_alone() -> None:
    at = trainer()
    splits = {task: data.train for task, data in at.data.items()}
    batch = next(batches(splits, 6, seeds.generator("test")))
    teacher = other_than(at.network.state())
    for task, part in batch.items():
        whole, plain = taught_by(at, teacher, 1.0)(task, part)
        with_it, _ = taught_by(at, teacher, 1.0, {task})(task, part)
        without, alone = taught_by(at, teacher, 1.0, set(TASKS) - {task})(task, part)
        assert torch.equal(with_it, whole)
        assert torch.equal(without, plain)
        assert torch.equal(alone, plain)
        assert not torch.equal(whole, plain)


@pytest.mark.parametrize(
    ("better_at", "like"),
    [
        (TASKS, {}),  # as the paper has it
        ((), {"distillation": False}),
        (("reviews",), None),
    ],
)
def test_stage_two_is_taught_at_the_tasks_at_which_the_teacher_is_better(
    better_at: tuple[str, ...], like: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = trainer(teacher="better")
    server = at.network.state()
    student = other_than(server)

    def told(_: Trainer, state: State, split: str) -> dict[str, Decisive]:
        assert split == "validation"
        skill = 0.0 if same(state, student) else 0.1
        return {task: Decisive(skill if task in better_at else 0.0, 1.0) for task in TASKS}

    monkeypatch.setattr(guard, "decisive", told)
    personal = Personal({P: student}, {}, at.reads)
    models = method_of(at).personalize(server, personal).personal.models
    if like is not None:
        wanted = method_of(trainer(**like)).personalize(server, personal).personal.models
        assert all(same(models[variant], wanted[variant]) for variant in (P, T, D))
        return
    for whole in ({}, {"distillation": False}):
        not_wanted = method_of(trainer(**whole)).personalize(server, personal).personal.models
        assert same(models[T], not_wanted[T])
        assert not same(models[D], not_wanted[D])


def test_the_guard_takes_nothing_from_it() -> None:
    at, guarded = trainer(teacher="better"), trainer(teacher="better", guard=True)
    server = at.network.state()
    personal = Personal({P: other_than(server)}, {}, at.reads)
    plain, kept = (method_of(each).personalize(server, personal).personal for each in (at, guarded))
    assert all(same(plain.models[variant], kept.models[variant]) for variant in (P, T, D))
    assert (set(plain.chosen), set(kept.chosen)) == (set(), set(TASKS))


def test_a_teacher_without_distillation_is_refused() -> None:
    with pytest.raises(ValidationError, match="teacher belongs to distillation, which is off"):
        small.spec(algorithm={"name": "tap", "teacher": "better", "distillation": False})
