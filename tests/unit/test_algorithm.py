"""Stage one and stage two against numbers worked out by hand."""

import math
from typing import Any

import pytest
import torch

from shared.components import TaskKind
from shared.results import Variant
from tests.support import small
from worker.algorithm.distillation import distillation_loss, divergence, taught_by
from worker.algorithm.losses import task_loss
from worker.algorithm.method import NOBODY
from worker.algorithm.methods import method_of
from worker.algorithm.replacement import decide, replace
from worker.models.network import Batch, State
from worker.training.loop import Rule
from worker.training.trainer import Trainer

pytestmark = pytest.mark.unit


def test_a_first_participation_replaces_everything() -> None:
    (decision,) = decide({"a": 9.0}, {}, {"a": 0.5})
    assert decision.replaced
    assert decision.personal_loss is None


@pytest.mark.parametrize(
    ("engaged", "personal", "margin", "replaced"),
    [(1.0, 2.0, 0.5, True), (1.0, 1.5, 0.5, False), (1.0, 1.4, 0.5, False), (1.0, 0.9, -0.5, True)],
)
def test_replacement_needs_the_margin(
    engaged: float, personal: float, margin: float, replaced: bool
) -> None:
    (decision,) = decide({"a": engaged}, {"a": personal}, {"a": margin})
    assert decision.replaced is replaced


def test_only_the_components_of_the_tasks_that_won_are_copied() -> None:
    x = {n: {"w": torch.tensor([1.0])} for n in ("proj", "head.a", "head.b")}
    z = {n: {"w": torch.tensor([0.0])} for n in ("proj", "head.a", "head.b")}
    decisions = decide({"a": 1.0, "b": 1.0}, {"a": 2.0, "b": 0.5}, {"a": 0.0, "b": 0.0})
    mixed = replace(z, x, decisions, {"a": {"proj", "head.a"}, "b": {"proj", "head.b"}})
    assert {n: float(t["w"]) for n, t in mixed.items()} == {
        "proj": 1.0, "head.a": 1.0, "head.b": 0.0,
    }  # fmt: skip
    assert float(z["proj"]["w"]) == 0.0
    assert float(x["head.b"]["w"]) == 1.0


def batch(**fields: Any) -> Batch:
    empty: dict[str, Any] = dict.fromkeys(("images", "tokens", "labels", "targets"))
    return Batch(**{**empty, "domains": torch.zeros(1, dtype=torch.int64), **fields})


def test_the_loss_of_a_label_is_its_surprise() -> None:
    logits = torch.tensor([[math.log(3.0), 0.0]])
    samples = batch(labels=torch.tensor([1]))
    found = task_loss(TaskKind.TEXT_CLASSIFICATION, samples, logits, 0)
    assert float(found) == pytest.approx(math.log(4.0))


def test_the_loss_of_a_text_is_the_mean_over_its_tokens_without_padding() -> None:
    targets = torch.tensor([[2, 5, 3, 0], [2, 3, 0, 0]])  # start 2, end 3, padding 0
    logits = torch.zeros(2, 3, 8)
    logits[1, 0, 3] = 100.0  # the second text is certain
    found = task_loss(TaskKind.TEXT_GENERATION, batch(targets=targets), logits, 0)
    assert found.tolist() == pytest.approx([math.log(8.0), 0.0])


def test_the_loss_of_an_image_is_its_mean_squared_error() -> None:
    images = torch.full((1, 3, 64, 64), 255, dtype=torch.uint8)
    given = torch.full((1, 3, 64, 64), 0.5)
    assert float(task_loss(TaskKind.IMAGE_GENERATION, batch(images=images), given, 0)) == 0.25


def test_divergence_by_hand() -> None:
    teacher = torch.tensor([[math.log(3.0), 0.0]])  # 3/4, 1/4
    student = torch.zeros(1, 2)  # 1/2, 1/2
    by_hand = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert float(divergence(student, teacher, 1.0)) == pytest.approx(by_hand, abs=1e-6)
    # at T = 2 the teacher says sqrt(3) : 1, and T^2 = 4 weighs it
    p = math.sqrt(3) / (math.sqrt(3) + 1)
    warm = 4 * (p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p)))
    assert float(divergence(student, teacher, 2.0)) == pytest.approx(warm, abs=1e-6)


def test_distillation_of_text_ignores_padding_and_of_images_is_squared() -> None:
    targets = torch.tensor([[2, 3, 0]])
    student, teacher = torch.zeros(1, 2, 4), torch.zeros(1, 2, 4)
    teacher[0, 1, 0] = 50.0  # only where there is padding
    kind = TaskKind.TEXT_GENERATION
    assert float(distillation_loss(kind, batch(targets=targets), student, teacher, 1.0, 0)) == 0.0
    images = torch.zeros(1, 3, 2, 2)
    found = distillation_loss(TaskKind.IMAGE_GENERATION, batch(), images, images + 0.5, 1.0, 0)
    assert float(found) == 0.25


def trainer(algorithm: str, tasks: tuple[str, ...] = ("digits", "reviews")) -> Trainer:
    job = small.spec(algorithm={"name": algorithm})
    return Trainer("c01", job, small.network(job, tasks), small.data(job, tasks))


def same(a: State, b: State) -> bool:
    return all(torch.equal(a[n][t], v) for n, ts in b.items() for t, v in ts.items())


def test_the_engaged_model_does_not_feel_the_personal_one() -> None:
    tap, fedavg = trainer("tap"), trainer("fedavg")
    server = tap.network.state()
    first = method_of(tap).round(server, NOBODY, 1)
    second = method_of(tap).round(server, first.personal, 2)
    alone = method_of(fedavg).round(server, NOBODY, 2)
    assert second.engaged is not None
    assert alone.engaged is not None
    assert same(second.engaged, alone.engaged)


def test_a_round_is_a_function_of_its_arguments() -> None:
    tap = trainer("tap")
    server = tap.network.state()
    a = method_of(tap).round(server, NOBODY, 1)
    method_of(tap).round(server, a.personal, 2)
    b = method_of(tap).round(server, NOBODY, 1)
    assert a.engaged is not None
    assert b.engaged is not None
    assert same(a.engaged, b.engaged)
    assert a.losses == b.losses


def test_tap_starts_its_personal_model_from_the_trained_engaged_one() -> None:
    tap = trainer("tap")
    outcome = method_of(tap).round(tap.network.state(), NOBODY, 1)
    assert [d.replaced for d in outcome.decisions] == [True, True]
    assert outcome.engaged is not None
    personal, _ = tap.local_steps(outcome.engaged, 1, "personal")
    assert outcome.personal.model is not None
    assert same(outcome.personal.model, personal)


def test_a_task_that_stays_behind_keeps_its_head_in_the_personal_model() -> None:
    tap = trainer("tap")
    server = tap.network.state()
    first = method_of(tap).round(server, NOBODY, 1)
    assert first.personal.model is not None
    unbeatable = type(first.personal)(first.personal.models, {"digits": 0.0, "reviews": 1e9})
    second = method_of(tap).round(server, unbeatable, 2)
    assert [d.replaced for d in second.decisions] == [False, True]
    assert second.engaged is not None
    mixed = replace(first.personal.model, second.engaged, second.decisions, tap.component_sets)
    assert same(
        {"head.digits": mixed["head.digits"]}, {"head.digits": first.personal.model["head.digits"]}
    )
    assert same(
        {"head.reviews": mixed["head.reviews"]}, {"head.reviews": second.engaged["head.reviews"]}
    )


def test_local_uploads_nothing_and_goes_on_from_its_own_model() -> None:
    local = trainer("local")
    server = local.network.state()
    first = method_of(local).round(server, NOBODY, 1)
    assert first.engaged is None
    assert first.personal.model is not None
    again, _ = local.local_steps(first.personal.model, 2, "personal")
    second = method_of(local).round(server, first.personal, 2)
    assert second.personal.model is not None
    assert same(second.personal.model, again)


@pytest.mark.parametrize(
    ("algorithm", "variants"),
    [
        ("tap", {"engaged", "post_trained", "personal", "distilled"}),
        ("fedavg", {"engaged", "post_trained"}),
        ("local", {"personal", "post_trained"}),
    ],
)
def test_what_there_is_to_measure_at_the_end(algorithm: str, variants: set[str]) -> None:
    at = trainer(algorithm)
    server = at.network.state()
    outcome = method_of(at).personalize(server, NOBODY)
    models = method_of(at).final_models(server, outcome.personal)
    assert {str(v) for v in models} == variants


def taught_steps(at: Trainer, start: State, teacher: State) -> State:
    return at.post_steps(start, "distill", Rule(taught_by(at, teacher, 1.0)))[0]


def test_without_a_weight_the_teacher_does_not_matter() -> None:
    tasks = {n: {**t, "distillation_weight": 0.0} for n, t in small.SPEC["tasks"].items()}
    job = small.spec(tasks=tasks)
    tap = Trainer("c01", job, small.network(job, ["digits"]), small.data(job, ["digits"]))
    server = tap.network.state()
    teachers = [server, {n: {t: v + 1 for t, v in ts.items()} for n, ts in server.items()}]
    students = [taught_steps(tap, server, teacher) for teacher in teachers]
    assert same(students[0], students[1])
    taught = trainer("tap", ("digits",))
    pulled = [taught_steps(taught, server, teacher) for teacher in teachers]
    assert not same(pulled[0], pulled[1])


def test_the_distilled_model_comes_nearer_to_its_teacher() -> None:
    job = small.spec(post={"steps": 30, "learning_rate": 3e-3})
    tap = Trainer("c01", job, small.network(job, ["digits"]), small.data(job, ["digits"]))
    outcome = method_of(tap).personalize(tap.network.state(), NOBODY)
    models = outcome.personal.models
    samples = next(iter(small.data(job, ["digits"]).values())).test

    def outputs(variant: Variant) -> torch.Tensor:
        tap.network.load(models[variant])
        tap.network.eval()
        fields = Batch(samples.images, None, samples.labels, None, samples.domains)
        with torch.no_grad():
            return tap.network("digits", fields)  # type: ignore[no-any-return]

    before, after, taught = (
        outputs(v) for v in (Variant.PERSONAL, Variant.DISTILLED, Variant.POST_TRAINED)
    )
    assert float(divergence(after, taught, 1.0).mean()) < float(
        divergence(before, taught, 1.0).mean()
    )
