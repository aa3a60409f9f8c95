"""What jobs gave, side by side per client and task. Pure functions over reports."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from shared.reports import ReportView
from shared.results import TaskScore, Variant


@dataclass(frozen=True)
class Column:
    """Which of its models of which job's report, and how it is called."""

    title: str
    report: str
    variant: Variant


SKILL = (
    "skill = (value - reference) / (best - reference) on the client's test split: 0 is the best "
    "constant answer learnt from its training split, 1 is a perfect model; in brackets the metric"
)


@dataclass(frozen=True)
class Row:
    """One client's task: a score for each column, None where it was not measured."""

    client: str
    task: str
    scores: tuple[TaskScore | None, ...]

    @property
    def metric(self) -> str:
        """The metric of the row's columns; all of them where they differ."""
        return ", ".join(dict.fromkeys(score.metric for score in self.scores if score))


def rows(reports: Mapping[str, ReportView], columns: Sequence[Column]) -> list[Row]:
    """One row for each client and task; `reports` by what the columns call them."""
    scores = {
        (name, row.variant, row.client, row.task): row.score
        for name, report in reports.items()
        for row in report.scores
    }
    places = sorted({(client, task) for _, _, client, task in scores})
    return [
        Row(
            client,
            task,
            tuple(scores.get((c.report, c.variant, client, task)) for c in columns),
        )
        for client, task in places
    ]


def averages(found: Iterable[Row]) -> list[float | None]:
    """The mean skill of each column over all clients and tasks; None where one is not measured.

    A mean over fewer rows would compare different things.
    """
    by_column = zip(*(row.scores for row in found), strict=True)
    return [_mean(column) for column in by_column]


def _mean(scores: Iterable[TaskScore | None]) -> float | None:
    skills = [score.skill if score else None for score in scores]
    known = [skill for skill in skills if skill is not None]
    return sum(known) / len(known) if known and len(known) == len(skills) else None


def skill_table(found: Sequence[Row], columns: Sequence[Column]) -> Table:
    """The comparison for people."""
    shown = Table(title="Skill per client and task", caption=SKILL, caption_justify="left")
    shown.add_column("client")
    shown.add_column("task")
    shown.add_column("metric")
    for column in columns:
        shown.add_column(column.title, justify="right")
    for row in found:
        shown.add_row(row.client, row.task, row.metric, *(_cell(score) for score in row.scores))
    shown.add_section()
    means = ("-" if mean is None else f"{mean:.3f}" for mean in averages(found))
    shown.add_row("average", "", "skill", *means, style="bold")
    return shown


def _cell(score: TaskScore | None) -> str:
    return "-" if score is None else f"{score.skill:.3f} ({score.value:.3f})"


def as_json(found: Sequence[Row], columns: Sequence[Column]) -> dict[str, object]:
    """The comparison for programs."""
    titles = [column.title for column in columns]
    table = [
        {
            "client": row.client,
            "task": row.task,
            "metric": row.metric,
            "scores": {
                title: score and {"skill": score.skill, "value": score.value}
                for title, score in zip(titles, row.scores, strict=True)
            },
        }
        for row in found
    ]
    return {
        "normalisation": SKILL,
        "rows": table,
        "average_skill": dict(zip(titles, averages(found), strict=True)) if found else {},
    }
