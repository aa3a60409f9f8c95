"""Controls of TAP, and its options beyond the paper."""

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from shared.job_spec import JobSpec
from shared.results import Variant
from tests.support import small
from worker.algorithm.method import NOBODY, Outcome, Personal
from worker.algorithm.methods import method_of
from worker.algorithm.methods.tap import Tap, standard_error
from worker.algorithm.replacement import Shared, decide, replace
from worker.models.network import State
from worker.training.held_out import held_out_losses
from worker.training.loop import DivergedError
from worker.training.trainer import Trainer

pytestmark = pytest.mark.unit

TASKS = ("digits", "reviews")


def trainer(task_margin: float = 0.0, **options: Any) -> Trainer:
    tasks = {name: {**small.SPEC["tasks"][name], "margin": task_margin} for name in TASKS}
    job = small.spec(algorithm={"name": "tap", **options}, tasks=tasks)
    return Trainer("c01", job, small.network(job), small.data(job, TASKS))


def two_rounds(at: Trainer, **losses: float) -> tuple[Outcome, Outcome]:
    """The second round compares with these h_Z."""
    server = at.network.state()
    first = method_of(at).round(server, NOBODY, 1)
    told = Personal(first.personal.models, losses or first.personal.losses, first.personal.reads)
    return first, method_of(at).round(server, told, 2)


def same(a: State | None, b: State | None) -> bool:
    assert a is not None
    assert b is not None
    return all(torch.equal(a[n][t], v) for n, ts in b.items() for t, v in ts.items())


@pytest.mark.parametrize("h_z", [0.0, 1e9])
@pytest.mark.parametrize(("control", "replaced"), [("always", True), ("never", False)])
def test_a_control_replaces_whatever_the_losses_say(
    control: str, replaced: bool, h_z: float
) -> None:
    first, second = two_rounds(trainer(replacement=control), digits=h_z, reviews=h_z)
    assert [d.replaced for d in (*first.decisions, *second.decisions)] == [replaced] * 4


def test_who_never_replaces_trains_its_own_model_from_the_first_version_on() -> None:
    at = trainer(replacement="never")
    server = at.network.state()
    first, second = two_rounds(at)
    alone, _ = at.local_steps(server, 1, "personal")
    assert same(first.personal.model, alone)
    again, _ = at.local_steps(alone, 2, "personal")
    assert same(second.personal.model, again)


def test_random_replacement_is_drawn_by_its_rate_and_is_the_same_again() -> None:
    at = Tap(trainer(replacement="random", replacement_rate=0.3))
    decisions = decide({"digits": 1.0}, {"digits": 0.0}, {"digits": 0.0})
    drawn = [at._controlled(decisions[0], n).replaced for n in range(1, 401)]
    assert drawn == [at._controlled(decisions[0], n).replaced for n in range(1, 401)]
    assert 90 <= sum(drawn) <= 150, "120 expected, standard deviation 9"
    (forced,) = decide({"digits": 1.0}, {}, {"digits": 0.0})
    assert all(at._controlled(forced, n).replaced for n in range(1, 20))


def test_a_relative_margin_is_a_share_of_the_personal_loss() -> None:
    first, second = two_rounds(trainer(0.25, margin="relative"), digits=8.0, reviews=1e-9)
    assert [d.margin for d in first.decisions] == [0.25, 0.25], "forced: nothing to scale"
    assert [d.margin for d in second.decisions] == [2.0, 0.25e-9]
    assert [d.replaced for d in second.decisions] == [True, False]


def test_validation_compares_both_models_on_the_same_samples() -> None:
    at = trainer(signal="validation")
    first, second = two_rounds(at)
    assert first.personal.model is not None
    assert second.engaged is not None
    h_z = held_out_losses(at, first.personal.model)
    h_x = held_out_losses(at, second.engaged)
    for decision in second.decisions:
        assert decision.personal_loss == pytest.approx(float(h_z[decision.task].mean()))
        assert decision.engaged_loss == pytest.approx(float(h_x[decision.task].mean()))
        assert decision.personal_loss is not None
        assert decision.replaced == (decision.engaged_loss < decision.personal_loss)


def test_a_comparison_with_a_model_that_has_diverged_says_so() -> None:
    at = trainer(signal="validation")
    server = at.network.state()
    broken = {n: {t: v * math.nan for t, v in ts.items()} for n, ts in server.items()}
    told = Personal({Variant.PERSONAL: broken}, dict.fromkeys(TASKS, 1.0), at.reads)
    says = "loss of the personal model at task 'digits' on its validation samples is nan: lower"
    with pytest.raises(DivergedError, match=says):
        method_of(at).round(server, told, 2)


def test_held_out_losses_are_those_of_the_evaluation_split_without_dropout() -> None:
    at = trainer()
    state = at.network.state()
    once, again = held_out_losses(at, state), held_out_losses(at, state)
    for task in TASKS:
        assert len(once[task]) == len(at.data[task].validation)
        assert torch.equal(once[task], again[task])


def test_an_automatic_margin_is_so_many_standard_errors_of_the_difference() -> None:
    assert standard_error(torch.tensor([1.0, 3.0])) == pytest.approx(1.0)  # sqrt(2) / sqrt(2)
    assert standard_error(torch.tensor([5.0])) == 0.0
    at = trainer(signal="validation", margin="auto", standard_errors=2.0)
    first, second = two_rounds(at)
    assert first.personal.model is not None
    assert second.engaged is not None
    z = held_out_losses(at, first.personal.model)
    x = held_out_losses(at, second.engaged)
    for decision in second.decisions:
        difference = z[decision.task] - x[decision.task]
        assert decision.margin == pytest.approx(2 * standard_error(difference))


@pytest.mark.parametrize(
    ("shared", "won", "taken"),
    [
        ("any", {"a"}, {"head.a", "proj"}),
        ("all", {"a"}, {"head.a"}),
        ("all", {"a", "b"}, {"head.a", "head.b", "proj"}),
        ("never", {"a", "b"}, {"head.a", "head.b"}),
    ],
)
def test_components_of_several_tasks(shared: Shared, won: set[str], taken: set[str]) -> None:
    names = ("proj", "head.a", "head.b")
    x = {n: {"w": torch.tensor([1.0])} for n in names}
    z = {n: {"w": torch.tensor([0.0])} for n in names}
    sets = {"a": {"proj", "head.a"}, "b": {"proj", "head.b"}}
    told = {task: 2.0 if task in won else 0.0 for task in sets}
    decisions = decide(dict.fromkeys(sets, 1.0), told, dict.fromkeys(sets, 0.0))
    mixed = replace(z, x, decisions, sets, shared)
    assert {n for n, tensors in mixed.items() if float(tensors["w"])} == taken


def test_without_distillation_stage_two_trains_plainly() -> None:
    at = trainer(distillation=False)
    server = at.network.state()
    mine, _ = at.local_steps(server, 1, "personal")
    outcome = method_of(at).personalize(server, Personal({}, {}).completed(server))
    plain, _ = at.post_steps(server, "distill")
    assert same(outcome.personal.models.get(Variant.DISTILLED), plain)
    assert not same(plain, mine)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"replacement": "random"}, "replacement_rate belongs to replacement: random"),
        ({"replacement_rate": 0.5}, "replacement_rate belongs to replacement: random"),
        ({"margin": "auto"}, "add signal: validation"),
        ({"standard_errors": 1}, "standard_errors belongs to margin: auto"),
        ({"replacement": "never", "signal": "validation"}, "belong to replacement: adaptive"),
        ({"strength": 1}, "Extra inputs are not permitted"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValidationError, match=sentence):
        JobSpec.model_validate({**small.SPEC, "algorithm": {"name": "tap", **options}})


def test_tap_plus_is_tap_with_other_defaults() -> None:
    plus, paper = ({"name": name} for name in ("tap-plus", "tap"))
    options = {
        name: each
        for name, each in small.spec(algorithm=plus).algorithm.model_dump().items()
        if each != getattr(small.spec(algorithm=paper).algorithm, name)
    }
    assert options == {"name": "tap-plus", "guard": True}
    job = small.spec(algorithm=plus)
    trainer = Trainer("c01", job, small.network(job, ["digits"]), small.data(job, ["digits"]))
    assert isinstance(method_of(trainer), Tap)
    assert small.spec(algorithm={**plus, "guard": False}).algorithm != job.algorithm
