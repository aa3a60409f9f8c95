"""The guard: for each task the best of three models by validation, kept and measured as one."""

import hashlib
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from cli.listing import report_table
from server.examples import REPORT
from shared.job_spec import JobSpec
from shared.messages import RETRYABLE, FailureCode
from shared.reports import ReportRow, ReportView
from shared.results import TaskScore, Variant
from shared.spec_files import SpecError, parse
from tests.support import small
from worker.algorithm import guard
from worker.algorithm.method import NOBODY, Personal
from worker.algorithm.methods import method_of
from worker.artifacts import network_specs
from worker.assignments import failure_code
from worker.metrics.measured import Decisive
from worker.models.network import State
from worker.state import PersonalStore
from worker.training import evaluation
from worker.training.evaluation import evaluate, evaluate_all
from worker.training.held_out import held_out_losses
from worker.training.loop import DivergedError
from worker.training.trainer import Trainer

pytestmark = pytest.mark.unit

D, P, T = Variant.DISTILLED, Variant.PERSONAL, Variant.POST_TRAINED
TASKS = ("digits", "reviews")


def trainer(**changes: Any) -> Trainer:
    tasks = {name: small.SPEC["tasks"][name] for name in TASKS}
    job = small.spec(**{"algorithm": {"name": "tap", "guard": True}, "tasks": tasks, **changes})
    return Trainer("c01", job, small.network(job), small.data(job, TASKS))


@pytest.mark.parametrize(
    ("distilled", "personal", "post_trained", "best"),
    [
        # skill and loss of each
        ((0.7, 0.9), (0.5, 0.1), (0.6, 0.1), D),
        ((0.5, 0.1), (0.7, 0.9), (0.6, 0.1), P),
        ((-2.0, 0.1), (-1.5, 0.1), (-1.0, 0.9), T),
        ((0.5, 0.5), (0.5, 0.5), (0.5, 0.5), D),
        ((0.5, 0.6), (0.5, 0.5), (0.5, 0.5), P),
        ((0.5, 0.6), (0.5, 0.5), (0.5, 0.4), T),
        ((0.9, math.nan), (0.1, 0.6), (0.2, 0.9), T),
        ((math.nan, 0.1), (-9.0, 0.6), (math.nan, math.nan), P),
        ((0.5, math.inf), (0.9, math.nan), (0.5, math.inf), D),
    ],
)
def test_the_greatest_skill_is_chosen_then_the_least_loss_then_the_methods_last(
    distilled: tuple[float, float],
    personal: tuple[float, float],
    post_trained: tuple[float, float],
    best: Variant,
) -> None:
    each = {T: post_trained, P: personal, D: distilled}
    assert guard.best({variant: Decisive(*found) for variant, found in each.items()}) is best


def test_each_task_has_a_choice_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {
        D: {"digits": Decisive(0.5, 2.0), "reviews": Decisive(0.1, 1.0)},
        P: {"digits": Decisive(0.5, 1.5), "reviews": Decisive(0.1, 1.0)},
        T: {"digits": Decisive(0.4, 1.0), "reviews": Decisive(0.2, 9.0)},
    }
    states: dict[Variant, State] = {variant: {str(variant): {}} for variant in told}

    def found(_: Trainer, state: State, split: str) -> dict[str, Decisive]:
        (variant,) = state
        assert split == "validation"
        return told[Variant(variant)]

    monkeypatch.setattr(guard, "decisive", found)
    assert guard.choose(guard.measured(trainer(), states)) == {"digits": P, "reviews": T}


@pytest.mark.parametrize("task", TASKS)
def test_what_decides_is_the_score_and_the_mean_loss_over_the_samples(task: str) -> None:
    at = trainer()
    model = at.network.state()
    skill, loss = evaluation.decisive(at, model, "validation")[task]
    score = evaluate(at, model, "validation")[task]
    assert skill == score.skill
    assert loss == pytest.approx(float(held_out_losses(at, model)[task].mean()), rel=1e-6)


def test_without_every_metric_the_primary_one_is_the_same() -> None:
    job = small.spec()
    at = Trainer("c01", job, small.network(job), small.data(job, job.tasks))
    model = at.network.state()
    whole, short = (evaluate(at, model, "test", every_metric=each) for each in (True, False))
    assert {task: (s.metric, s.value, s.skill, s.n) for task, s in short.items()} == {
        task: (s.metric, s.value, s.skill, s.n) for task, s in whole.items()
    }
    assert all(set(short[task].metrics) <= set(whole[task].metrics) for task in whole)
    assert any(set(short[task].metrics) < set(whole[task].metrics) for task in whole)


def test_stage_two_keeps_what_validation_says_and_a_later_round_begins_anew() -> None:
    at = trainer()
    server = at.network.state()
    kept = method_of(at).personalize(server, NOBODY).personal
    losses = {v: held_out_losses(at, kept.models[v]) for v in guard.CANDIDATES}
    scores = {v: evaluate(at, kept.models[v], "validation") for v in guard.CANDIDATES}
    for task, chosen in kept.chosen.items():
        most = max(each[task].skill for each in scores.values())
        alike = [v for v in guard.CANDIDATES if scores[v][task].skill == most]
        assert chosen in alike
        assert chosen is min(alike, key=lambda v: float(losses[v][task].mean()))
    assert set(kept.chosen) == set(TASKS)
    assert kept.completed(server).chosen == kept.chosen
    again = method_of(at).round(server, kept, 1).personal
    assert again.chosen == {}


def test_without_a_guard_nothing_is_chosen_and_an_older_choice_is_dropped() -> None:
    at = trainer(algorithm={"name": "tap"})
    server = at.network.state()
    before = Personal({P: server}, chosen={"digits": T})
    assert method_of(at).personalize(server, before).personal.chosen == {}


def test_models_and_their_bits_are_those_of_a_job_without_a_guard() -> None:
    server = trainer().network.state()
    algorithms: tuple[dict[str, Any], ...] = ({"name": "tap"}, {"name": "tap", "guard": True})
    plain, guarded = (
        method_of(trainer(algorithm=each)).personalize(server, NOBODY).personal.models
        for each in algorithms
    )
    assert plain.keys() == guarded.keys()
    for variant, state in plain.items():
        for name, part in state.items():
            assert all(torch.equal(part[t], guarded[variant][name][t]) for t in part)


def test_a_clients_own_factors_and_the_choice_are_kept_together() -> None:
    lora = {**small.SPEC["model"], "trainable": "lora"}
    at = trainer(model=lora, aggregation={"low_rank": "fedsa"})
    server = at.network.state()
    kept = method_of(at).personalize(server, NOBODY).personal
    assert set(kept.chosen) == set(TASKS)
    models = method_of(at).final_models(server, kept)
    scores = evaluate_all(at, models, kept.chosen, "test")
    assert list(scores[Variant.GUARDED]) == list(TASKS)


def test_a_model_whose_outputs_are_no_numbers_has_diverged() -> None:
    at = trainer()
    sound = at.network.state()
    broken = {n: {t: v * math.nan for t, v in ts.items()} for n, ts in sound.items()}
    with pytest.raises(DivergedError) as caught:
        evaluate_all(at, {P: sound, D: broken}, {}, "test")
    assert str(caught.value) == (
        "loss of the distilled model at task 'digits' on its test samples is nan: lower the "
        "learning rate"
    )
    assert failure_code(caught.value) is FailureCode.DIVERGED
    assert FailureCode.DIVERGED not in RETRYABLE


@pytest.mark.parametrize("split", ["test", "validation"])
def test_the_guarded_scores_are_the_chosen_models_and_not_measured_again(
    split: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = trainer()
    first = at.network.state()
    models = {D: first, P: at.post_steps(first)[0]}
    measured = []

    def measure(*given: Any, **named: Any) -> dict[str, TaskScore]:
        measured.append(given)
        return evaluate(*given, **named)

    monkeypatch.setattr(evaluation, "evaluate", measure)
    scores = evaluate_all(at, models, {"digits": P, "reviews": D}, split)
    assert list(scores) == [D, P, Variant.GUARDED]
    assert len(measured) == 2
    guarded = scores[Variant.GUARDED]
    assert {task: score.of for task, score in guarded.items()} == {"digits": P, "reviews": D}
    for task, score in guarded.items():
        assert score.of is not None
        assert score.model_copy(update={"of": None}) == scores[score.of][task]
    assert all(score.of is None for v in models for score in scores[v].values())


def test_without_a_choice_there_is_no_guarded_row_and_a_lost_task_has_none() -> None:
    at = trainer()
    models = {D: at.network.state()}
    assert list(evaluate_all(at, models, {}, "test")) == [D]
    lost = evaluate_all(at, models, {"digits": D, "vqa": P}, "test")
    assert list(lost[Variant.GUARDED]) == ["digits"]
    assert list(evaluate_all(at, models, {"vqa": P}, "test")) == [D]


def test_a_choice_survives_on_disk(tmp_path: Path) -> None:
    network = trainer().network
    store = PersonalStore(tmp_path)
    chosen = {"digits": P, "reviews": D}
    digest = store.save(Personal({P: network.state()}, {"digits": 1.5}, chosen=chosen))
    assert store.load(digest, network_specs(network, network.components)).chosen == chosen
    assert store.manifest(digest).chosen == chosen


def test_a_state_without_a_choice_has_the_bytes_that_it_always_had(tmp_path: Path) -> None:
    text = b'{"losses": {"digits": 1.5}, "models": {}, "reads": {}}'
    digest = PersonalStore(tmp_path).save(Personal({}, {"digits": 1.5}))
    assert digest == hashlib.sha256(text).hexdigest()
    assert PersonalStore(tmp_path).manifest(digest).chosen == {}
    assert json.loads(text).keys() == {"losses", "models", "reads"}


def test_a_row_says_which_variant_it_is_of() -> None:
    score = TaskScore(metric="accuracy", value=0.5, reference=0.5, skill=0.0, n=6)
    rows = [
        ReportRow(client="c01", task="digits", variant=variant, score=score.model_copy(update=of))
        for variant, of in ((P, {}), (Variant.GUARDED, {"of": P}))
    ]
    report = ReportView.model_validate(REPORT).model_copy(update={"scores": tuple(rows)})
    shown = Console(width=200, file=io.StringIO(), record=True)
    shown.print(report_table(report))
    lines = [line.split("│") for line in shown.export_text().splitlines() if "c01" in line]
    assert [line[3].strip() for line in lines] == ["personal", "guarded: personal"]


JOB = """
name: first
algorithm: {name: fedavg, guard: true}
rounds: {count: 1}
tasks: {digits: {kind: image_classification, modalities: [image], classes: [zero, one]}}
clients: [c01]
"""


def test_a_guard_is_taps_alone() -> None:
    assert parse(JobSpec, JOB.replace("fedavg", "tap")).algorithm.name == "tap"
    sentence = "algorithm.fedavg.guard: is not an option of fedavg but of tap, tap-plus; choose"
    with pytest.raises(SpecError, match=sentence):
        parse(JobSpec, JOB)
    unclear = JOB.replace("fedavg, guard: true", "tap, guard: perhaps")
    with pytest.raises(
        SpecError, match=r"algorithm\.tap\.guard: must be true or false; correct it"
    ):
        parse(JobSpec, unclear)
