"""What the three jobs of the demonstration gave, side by side. Pure functions over reports."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rich.table import Table

from cli.progress import size
from shared.reports import ReportView
from shared.results import TaskScore, Variant


@dataclass(frozen=True)
class Column:
    """One way to train: which job's report and which of its models."""

    title: str
    algorithm: str
    variant: Variant


COLUMNS = (
    Column("local", "local", Variant.POST_TRAINED),
    Column("fedavg", "fedavg", Variant.ENGAGED),
    Column("fedavg + post", "fedavg", Variant.POST_TRAINED),
    Column("tap before distillation", "tap", Variant.PERSONAL),
    Column("tap", "tap", Variant.DISTILLED),
)
SKILL = (
    "skill = (value - reference) / (best - reference) on the client's test split: 0 is the best "
    "constant answer learnt from its training split, 1 is a perfect model; in brackets the metric"
)
TRAFFIC = (
    "the engaged models of tap and fedavg are equal bit for bit: the job that comes second finds "
    "the components in the workers' caches and downloads nothing"
)


@dataclass(frozen=True)
class Row:
    """One client's task: a score for each column, None where it was not measured."""

    client: str
    task: str
    scores: tuple[TaskScore | None, ...]

    @property
    def metric(self) -> str:
        """The metric that all columns of the row share."""
        return next((score.metric for score in self.scores if score), "")


def rows(reports: Mapping[str, ReportView]) -> list[Row]:
    """One row for each client and task; `reports` by algorithm."""
    scores = {
        (report.algorithm, row.variant, row.client, row.task): row.score
        for report in reports.values()
        for row in report.scores
    }
    places = sorted({(client, task) for _, _, client, task in scores})
    return [
        Row(
            client,
            task,
            tuple(scores.get((c.algorithm, c.variant, client, task)) for c in COLUMNS),
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


def skill_table(found: list[Row]) -> Table:
    """The comparison for people."""
    shown = Table(title="Skill per client and task", caption=SKILL, caption_justify="left")
    shown.add_column("client")
    shown.add_column("task")
    shown.add_column("metric")
    for column in COLUMNS:
        shown.add_column(column.title, justify="right")
    for row in found:
        shown.add_row(row.client, row.task, row.metric, *(_cell(score) for score in row.scores))
    shown.add_section()
    means = ("-" if mean is None else f"{mean:.3f}" for mean in averages(found))
    shown.add_row("average", "", "skill", *means, style="bold")
    return shown


def _cell(score: TaskScore | None) -> str:
    return "-" if score is None else f"{score.skill:.3f} ({score.value:.3f})"


def traffic_table(reports: Mapping[str, ReportView]) -> Table:
    """Bytes per round, and what full state dicts would have cost."""
    shown = Table(title="What travelled, per round", caption=TRAFFIC, caption_justify="left")
    for title in ("job", "rounds", "down", "up", "full state dicts instead", "saved"):
        shown.add_column(title, justify="left" if title == "job" else "right")
    for report in reports.values():
        sent, full = report.bytes_down + report.bytes_up, report.bytes_full_exchange
        per_round = [n / max(report.rounds, 1) for n in (report.bytes_down, report.bytes_up, full)]
        down, up, instead = map(size, per_round)
        saved = f"{1 - sent / full:.1%}" if full else "-"
        if report.algorithm == "local":  # nothing is exchanged, so that nothing is saved
            instead, saved = "-", "-"
        shown.add_row(report.name, str(report.rounds), down, up, instead, saved)
    return shown


def as_json(found: list[Row]) -> dict[str, object]:
    """The comparison for programs."""
    titles = [column.title for column in COLUMNS]
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
