"""What federation gave, by hand-worked scores."""

import pytest

from shared.benefits import Benefits, Verdict, benefits
from shared.reports import ReportRow
from shared.results import TaskScore, Variant

pytestmark = pytest.mark.unit


def row(
    client: str,
    value: float,
    variant: Variant = Variant.DISTILLED,
    task: str = "digits",
    interval: tuple[float, float] | None = None,
) -> ReportRow:
    """Accuracy with a reference of 0.5: a skill of 2 value - 1."""
    score = TaskScore(
        metric="accuracy",
        value=value,
        reference=0.5,
        skill=2 * value - 1,
        n=50,
        intervals={} if interval is None else {"accuracy": interval},
    )
    return ReportRow(client=client, task=task, variant=variant, score=score)


@pytest.fixture
def found() -> Benefits:
    federated = [row("c1", 0.9), row("c2", 0.72), row("c3", 0.6), row("c4", 0.8)]
    alone = [row(f"c{n}", 0.7, Variant.POST_TRAINED, interval=(0.65, 0.75)) for n in (1, 2, 3)]
    return benefits(federated, alone)


def test_beyond_the_interval_of_training_alone_one_is_helped_or_hurt(found: Benefits) -> None:
    verdicts = {each.client: each.verdict for each in found.rows}
    assert verdicts == {
        "c1": Verdict.HELPED,
        "c2": Verdict.LEVEL,
        "c3": Verdict.HURT,
        "c4": Verdict.UNKNOWN,
    }
    gains = [each.gain for each in found.rows]
    assert gains[:3] == pytest.approx([0.4, 0.04, -0.2])
    assert gains[3] is None


def test_the_plain_verdict_names_who_is_hurt(found: Benefits) -> None:
    assert found.sentence == (
        "Federation helped 1 of 3, 1 is level with training alone; it hurt c3 on digits."
    )
    assert [each.client for each in found.hurt] == ["c3"]


def test_without_training_alone_the_verdict_says_what_is_missing() -> None:
    assert "algorithm local" in benefits([row("c1", 0.9)]).sentence
    assert benefits([]).rows == ()


def test_a_single_sample_has_no_interval_and_decides_nothing() -> None:
    (each,) = benefits([row("c1", 1.0)], [row("c1", 0.0, Variant.POST_TRAINED)]).rows
    assert each.verdict is Verdict.LEVEL


def test_an_error_is_better_when_it_is_less() -> None:
    def mse(value: float, variant: Variant) -> ReportRow:
        score = TaskScore(
            metric="mse",
            value=value,
            reference=0.2,
            skill=1 - value / 0.2,
            n=50,
            intervals={"mse": (value - 0.01, value + 0.01)},
        )
        return ReportRow(client="c1", task="drawings", variant=variant, score=score)

    (each,) = benefits([mse(0.05, Variant.DISTILLED)], [mse(0.1, Variant.POST_TRAINED)]).rows
    assert each.verdict is Verdict.HELPED


def test_the_client_ends_with_the_guarded_model_where_there_is_one() -> None:
    models = [row("c1", 0.6, Variant.ENGAGED), row("c1", 0.7), row("c1", 0.8, Variant.GUARDED)]
    found = benefits(models)
    assert found.rows[0].last is Variant.GUARDED
    assert found.variants == (Variant.ENGAGED, Variant.DISTILLED, Variant.GUARDED)
    assert found.mean(Variant.GUARDED) == pytest.approx(0.6)


def test_a_mean_over_some_clients_only_is_none() -> None:
    found = benefits([row("c1", 0.9), row("c2", 0.9), row("c2", 0.8, Variant.ENGAGED)])
    assert found.mean(Variant.ENGAGED) is None
    assert found.mean(Variant.DISTILLED) == pytest.approx(0.8)
    assert found.mean_alone is None
