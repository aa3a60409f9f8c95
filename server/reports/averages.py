"""Every metric over clients: what a report says of the federation as a whole."""

from collections.abc import Sequence

from shared.averages import AverageRow
from shared.reports import ReportRow
from shared.results import TaskScore, Variant

_Key = tuple[str, Variant, str]  # task, variant, metric


def averages(rows: Sequence[ReportRow]) -> tuple[AverageRow, ...]:
    """The clients' test values of each metric, weighted by their samples."""
    found: dict[_Key, list[tuple[float, int]]] = {}
    for row in rows:
        for metric, value in _metrics(row.score).items():
            found.setdefault((row.task, row.variant, metric), []).append((value, row.score.n))
    return tuple(_average(key, found[key]) for key in sorted(found))


def _metrics(score: TaskScore) -> dict[str, float]:
    """All of them; scores of earlier releases have the primary one apart."""
    return {score.metric: score.value, **score.metrics}


def _average(key: _Key, values: Sequence[tuple[float, int]]) -> AverageRow:
    task, variant, metric = key
    n = sum(samples for _, samples in values)
    return AverageRow(
        task=task,
        variant=variant,
        metric=metric,
        value=sum(value * (samples / n) for value, samples in values),
        n=n,
        clients=len(values),
    )
