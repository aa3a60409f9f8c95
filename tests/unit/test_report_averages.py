"""A report's averages over clients."""

import pytest

from server.reports.averages import averages
from shared.reports import ReportRow
from shared.results import TaskScore, Variant

pytestmark = pytest.mark.unit


def row(client: str, n: int, variant: Variant, task: str = "digits", **metrics: float) -> ReportRow:
    value = metrics.get("accuracy", 0.5)
    score = TaskScore(metric="accuracy", value=value, reference=0.5, skill=0, n=n, metrics=metrics)
    return ReportRow(client=client, task=task, variant=variant, score=score)


def test_clients_count_by_their_samples() -> None:
    engaged, distilled = Variant.ENGAGED, Variant.DISTILLED
    rows = (
        row("c01", 60, distilled, accuracy=0.9, loss=1.0),
        row("c02", 20, distilled, accuracy=0.5),
        row("c01", 60, engaged, accuracy=0.1),
        row("c03", 5, distilled, "letters", accuracy=1.0),
    )
    found = {
        (a.task, a.variant, a.metric): (round(a.value, 9), a.n, a.clients) for a in averages(rows)
    }
    assert found == {
        ("digits", distilled, "accuracy"): (0.8, 80, 2),
        ("digits", distilled, "loss"): (1.0, 60, 1),
        ("digits", engaged, "accuracy"): (0.1, 60, 1),
        ("letters", distilled, "accuracy"): (1.0, 5, 1),
    }


def test_scores_of_earlier_releases_have_their_primary_metric_apart() -> None:
    (accuracy, loss) = averages([row("c01", 4, Variant.PERSONAL, loss=2.0)])
    assert (accuracy.metric, accuracy.value, loss.metric) == ("accuracy", 0.5, "loss")


def test_without_scores_there_are_none() -> None:
    assert averages([]) == ()


def test_guarded_models_are_averaged_whichever_was_chosen() -> None:
    rows = [row("c01", 10, Variant.GUARDED, accuracy=1.0), row("c02", 30, Variant.GUARDED)]
    of = (Variant.PERSONAL, Variant.DISTILLED)
    guarded = [
        each.model_copy(update={"score": each.score.model_copy(update={"of": chosen})})
        for each, chosen in zip(rows, of, strict=True)
    ]
    (found,) = averages(guarded)
    assert (found.variant, found.value, found.clients) == (Variant.GUARDED, 0.625, 2)
