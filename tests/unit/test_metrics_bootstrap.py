"""Intervals: repeatable, paired, as wide as theory says, bounded in memory."""

import math

import pytest
import torch

from shared.evaluation_spec import IntervalsSpec
from tests.support import small
from worker.metrics import bootstrap
from worker.metrics.bootstrap import Intervals, intervals, resamples
from worker.metrics.statistics import MacroF1, Mean
from worker.training import seeds
from worker.training.evaluation import evaluate
from worker.training.trainer import Trainer

pytestmark = pytest.mark.unit
JOB = small.spec()


def of(values: torch.Tensor, seed: int = 0, **changes: float) -> tuple[float, float]:
    spec = IntervalsSpec.model_validate(changes)
    return intervals({"x": Mean(values)}, len(values), spec, seeds.generator("test", seed))["x"]


def normal(n: int, seed: int = 0) -> torch.Tensor:
    draw = seeds.generator("values", seed)
    return torch.randn(n, generator=draw, dtype=torch.float64)


def test_the_same_seed_gives_the_same_interval_and_another_another() -> None:
    assert of(normal(40)) == of(normal(40)) != of(normal(40), seed=1)


@pytest.mark.parametrize("n", [50, 800])
def test_the_width_is_what_theory_says(n: int) -> None:
    values = normal(n)
    low, high = of(values, resamples=4000)
    assert low < float(values.mean()) < high
    expected = 2 * 1.96 * float(values.std(correction=0)) / math.sqrt(n)
    assert high - low == pytest.approx(expected, rel=0.1)


def test_most_intervals_hold_the_truth() -> None:
    spans = [of(normal(60, seed), seed, confidence=0.8) for seed in range(200)]
    share = sum(low < 0 < high for low, high in spans) / len(spans)
    assert 0.7 < share < 0.9


def test_more_confidence_is_a_wider_interval() -> None:
    (a, b), (c, d) = of(normal(40), confidence=0.5), of(normal(40), confidence=0.99)
    assert c < a < b < d


def test_two_samples_by_hand() -> None:
    # means of 0, 1/2, 1/2 and 1: each end is a quarter of all resamples
    assert of(torch.tensor([0.0, 1.0]), confidence=0.9) == (0.0, 1.0)
    assert of(torch.tensor([0.0, 1.0]), confidence=0.4) == (0.5, 0.5)


def test_models_are_compared_on_the_same_resamples() -> None:
    """Drawn apart, two models' ends would differ by more than the models do."""
    values = normal(30)
    (low, high), better = of(values), of(values + 1)
    assert better == pytest.approx((low + 1, high + 1))


def test_nothing_is_said_of_one_sample_or_without_resamples() -> None:
    draw, one = seeds.generator("test"), {"x": Mean(torch.ones(1))}
    assert intervals(one, 1, IntervalsSpec(), draw) == {}
    two = {"x": Mean(torch.ones(2))}
    assert intervals(two, 2, IntervalsSpec(resamples=0), draw) == {}


def test_a_resample_is_as_large_as_the_split_and_memory_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 100)
    parts = list(resamples(30, 10, seeds.generator("test")))
    assert [tuple(part.shape) for part in parts] == [(3, 30), (3, 30), (3, 30), (1, 30)]
    assert torch.equal(torch.cat(parts).sum(1), torch.full((10,), 30, dtype=torch.float64))
    monkeypatch.undo()
    (whole,) = resamples(30, 10, seeds.generator("test"))
    assert torch.equal(torch.cat(parts), whole), "the same, however many at once"
    assert max(len(part) for part in resamples(100_000, 50, seeds.generator("test"))) == 20


def test_macro_f1_of_resamples_is_that_of_the_library() -> None:
    draw = seeds.generator("classes")
    labels, answers = (torch.randint(5, (40,), generator=draw) for _ in range(2))
    f1 = MacroF1(answers, labels, 6)
    (counts,) = resamples(40, 8, draw)
    rows = [torch.arange(40).repeat_interleave(each.long()) for each in counts]
    expected = [MacroF1(answers[i], labels[i], 6).value for i in rows]
    assert f1.resampled(counts).tolist() == pytest.approx(expected, abs=1e-6)


def measured(client: str, **changes: object) -> dict[str, Intervals]:
    job = small.spec(**changes)
    network = small.network(job)
    trainer = Trainer(client, job, network, small.data(job, job.tasks))
    scores = evaluate(trainer, network.state(), "test")
    for score in scores.values():
        assert score.metrics[score.metric] == score.value
        assert score.intervals.keys() == (score.metrics.keys() if score.intervals else set())
    return {task: score.intervals for task, score in scores.items()}


def test_a_clients_intervals_follow_from_the_job_and_its_name() -> None:
    first = measured("c01")
    assert all(first.values())
    assert measured("c01") == first
    assert measured("c02") != first
    assert measured("c01", seed=5) != first
    assert not any(measured("c01", evaluation={"intervals": {"resamples": 0}}).values())
