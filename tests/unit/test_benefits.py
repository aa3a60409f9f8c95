"""What federation gave, by hand-worked scores."""

import pytest

from shared.benefits import Benefits, benefits, interval
from shared.reports import ReportRow, Verdict
from shared.results import TaskScore, Variant

pytestmark = pytest.mark.unit


def row(
    client: str,
    value: float,
    variant: Variant = Variant.DISTILLED,
    task: str = "digits",
    interval: tuple[float, float] | None = None,
    n: int = 50,
) -> ReportRow:
    """Accuracy with a reference of 0.5: a skill of 2 value - 1."""
    score = TaskScore(
        metric="accuracy",
        value=value,
        reference=0.5,
        skill=2 * value - 1,
        n=n,
        intervals={} if interval is None else {"accuracy": interval},
    )
    return ReportRow(client=client, task=task, variant=variant, score=score)


@pytest.fixture
def found() -> Benefits:
    federated = [row("c1", 0.9), row("c2", 0.72), row("c3", 0.5), row("c4", 0.8)]
    alone = [row(f"c{n}", 0.7, Variant.POST_TRAINED, interval=(0.65, 0.75)) for n in (1, 2, 3)]
    return benefits(federated, alone)


def test_where_the_differences_interval_excludes_0_one_is_helped_or_hurt(found: Benefits) -> None:
    verdicts = {each.client: each.verdict for each in found.rows}
    assert verdicts == {
        "c1": Verdict.HELPED,
        "c2": Verdict.LEVEL,
        "c3": Verdict.HURT,
        "c4": Verdict.UNKNOWN,
    }
    gains = [each.gain for each in found.rows]
    assert gains[:3] == pytest.approx([0.4, 0.04, -0.4])
    assert gains[3] is None


def test_shares_of_right_answers_have_newcombes_interval() -> None:
    """56 of 70 less 48 of 80: the example of Newcombe (1998), table II, method 10."""
    one, two = row("c1", 56 / 70, n=70), row("c1", 48 / 80, Variant.POST_TRAINED, n=80)
    (each,) = benefits([one], [two]).rows
    assert each.difference == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert each.verdict is Verdict.HELPED


def test_all_right_and_all_wrong_leave_something_to_chance() -> None:
    perfect = row("c1", 1.0, interval=(1.0, 1.0)).score
    assert interval(perfect) == pytest.approx((0.9287, 1.0), abs=5e-5)
    right, wrong = row("c1", 1.0, n=1), row("c1", 0.0, Variant.POST_TRAINED, n=1)
    (each,) = benefits([right], [wrong]).rows
    assert each.verdict is Verdict.LEVEL, "one sample each decides nothing"


def test_what_is_no_share_has_the_interval_that_was_reported() -> None:
    """An earlier version took it."""
    assert interval(row("c1", 1.5, interval=(1.4, 1.6)).score) == (1.4, 1.6)
    assert interval(row("c1", -0.5).score) is None
    (each,) = benefits([row("c1", 1.5)], [row("c1", 0.5, Variant.POST_TRAINED)]).rows
    assert each.verdict is Verdict.LEVEL


def test_the_plain_verdict_names_who_is_hurt(found: Benefits) -> None:
    assert found.sentence == (
        "Federation helped 1 of 3, 1 is level with training alone; it hurt c3 on digits."
    )
    assert [each.client for each in found.hurt] == ["c3"]


def test_without_training_alone_the_verdict_says_what_is_missing() -> None:
    assert "algorithm local" in benefits([row("c1", 0.9)]).sentence
    assert benefits([]).rows == ()


def test_what_has_no_interval_decides_nothing() -> None:
    def mse(value: float, variant: Variant) -> ReportRow:
        score = TaskScore(metric="mse", value=value, reference=0.2, skill=1 - value / 0.2, n=1)
        return ReportRow(client="c1", task="drawings", variant=variant, score=score)

    (each,) = benefits([mse(0.01, Variant.DISTILLED)], [mse(0.1, Variant.POST_TRAINED)]).rows
    assert each.verdict is Verdict.LEVEL


def test_fedavg_stands_beside_and_decides_nothing() -> None:
    averaged = [row("c1", 0.8, Variant.ENGAGED), row("c1", 0.85, Variant.POST_TRAINED)]
    found = benefits([row("c1", 0.9)], [], averaged)
    (each,) = found.rows
    assert each.averaged is averaged[1].score, "what its client ends with"
    assert each.verdict is Verdict.UNKNOWN
    assert found.has_averaged
    assert found.mean_averaged == pytest.approx(0.7)
    assert not benefits([row("c1", 0.9)]).has_averaged


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
