"""`tapestry compare`: which models of which jobs, what they scored and what they cost."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from rich.table import Table

from cli import comparison
from cli.comparison import Column, Row
from cli.connection import Connection
from cli.exits import FailedError, UsageError
from shared.problem_codes import Code
from shared.reports import ReportView
from shared.results import Variant
from shared.sizes import size
from shared.terminal import escaped
from shared.transport import ApiError

# What a client would take away first, as in `tapestry export`; last what is nobody's own.
NEWEST_FIRST = (
    Variant.GUARDED,
    Variant.DISTILLED,
    Variant.POST_TRAINED,
    Variant.PERSONAL,
    Variant.ENGAGED,
)


@dataclass(frozen=True)
class Wish:
    """One column: a job, and which of its models, by default the one that would be taken away."""

    job: UUID
    variant: Variant | None


def wishes(given: Sequence[str]) -> list[Wish]:
    """JOB or JOB:VARIANT of the command line. Raises UsageError."""
    found = [_wish(each) for each in given]
    if len(found) < 2:
        raise UsageError("one job alone cannot be compared: name another, or see `tapestry report`")
    return found


def _wish(text: str) -> Wish:
    job, colon, variant = text.partition(":")
    try:
        return Wish(UUID(job), Variant(variant) if colon else None)
    except ValueError as error:
        known = ", ".join(Variant)
        raise UsageError(
            f"{text!r} is not JOB or JOB:VARIANT: take JOB from `tapestry jobs`, and VARIANT from "
            f"{known}"
        ) from error


def report_of(connection: Connection, job: UUID) -> ReportView:
    """The job's report. Raises FailedError while there is none, ApiError."""
    with connection.about(job) as api:
        try:
            return api.report(job)
        except ApiError as error:
            if error.problem.code != Code.JOB_NOT_ENDED:
                raise
            raise FailedError(
                f"job {job} has no report yet: follow it by `tapestry watch {job}`, and compare it "
                "once it has ended"
            ) from error


@dataclass(frozen=True)
class Comparison:
    """Jobs side by side."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    reports: Mapping[str, ReportView]

    @property
    def common(self) -> list[Row]:
        """The rows that all columns have: means over others would compare different things."""
        return [row for row in self.rows if None not in row.scores]

    def table(self) -> Table:
        """What each model scored."""
        shown = comparison.skill_table(self.common, self.columns)
        left = len(self.rows) - len(self.common)
        if left:
            shown.caption = (
                f"{comparison.SKILL}; left out: {left} of {len(self.rows)} tasks of clients, which "
                "not all of these models were measured on"
            )
        return shown

    def costs(self) -> Table:
        """What each job took: bytes and seconds of the whole, steps of each model."""
        shown = Table(title="What it took")
        for title in ("job", "algorithm", "state", "rounds", "down", "up", "seconds", "steps"):
            shown.add_column(title, justify="right" if title not in _WORDS else "left")
        for title, report in self._by_name().items():
            shown.add_row(title, *_costs(report))
        return shown

    def as_json(self) -> str:
        """The same for programs."""
        columns = [_column(each, self.reports[each.report]) for each in self.columns]
        everything = comparison.as_json(self.rows, self.columns)
        means = comparison.as_json(self.common, self.columns)["average_skill"]
        content = {"columns": columns, **everything, "average_skill": means}
        content["n_averaged"] = len(self.common)
        return escaped(json.dumps(content, indent=1, ensure_ascii=False))

    def _by_name(self) -> dict[str, ReportView]:
        names = titles(list(self.reports.values()))
        return {names[job]: report for job, report in self.reports.items()}


_WORDS = frozenset({"job", "algorithm", "state"})


def compared(asked: Sequence[Wish], reports: Mapping[UUID, ReportView]) -> Comparison:
    """The jobs' models side by side.

    Raises FailedError for a model that a job does not have, UsageError for one that is named twice.
    """
    names = titles(list(reports.values()))
    columns = []
    for wish in asked:
        variant = _chosen(wish, reports[wish.job])
        columns.append(Column(f"{names[str(wish.job)]}: {variant}", str(wish.job), variant))
    if len(set(columns)) < len(columns):
        raise UsageError("the same model of a job is named twice: leave one of both out")
    by_job = {str(job): report for job, report in reports.items()}
    found = comparison.rows(by_job, columns)
    measured = (row for row in found if any(row.scores))
    return Comparison(tuple(columns), tuple(measured), by_job)


def titles(reports: Sequence[ReportView]) -> dict[str, str]:
    """What each job is called, by its id; those of one name show the first digits of theirs."""
    names = Counter(report.name for report in reports)
    return {
        str(report.job_id): report.name
        if names[report.name] == 1
        else f"{report.name} ({str(report.job_id)[:8]})"
        for report in reports
    }


def _chosen(wish: Wish, report: ReportView) -> Variant:
    """The model that was wished for. Raises FailedError where the job has none."""
    there = {row.variant for row in report.scores}
    if wish.variant is None:
        found = next((each for each in NEWEST_FIRST if each in there), None)
    else:
        found = wish.variant if wish.variant in there else None
    if found is not None:
        return found
    has = ", ".join(each for each in NEWEST_FIRST if each in there)
    remedy = f"choose one of {has}" if has else "leave it out, or see `tapestry report`"
    what = f"no {wish.variant} model" if wish.variant and has else "no scores"
    raise FailedError(f"job {wish.job} ({report.name}, {report.state}) has {what}: {remedy}")


def _costs(report: ReportView) -> tuple[str, ...]:
    steps = report.optimizer_steps.get("total")
    return (
        report.algorithm,
        str(report.state),
        str(report.rounds),
        size(report.bytes_down),
        size(report.bytes_up),
        f"{report.seconds:.0f}",
        "-" if steps is None else str(steps),
    )


def _column(column: Column, report: ReportView) -> dict[str, object]:
    kept = {"job_id", "name", "algorithm", "state", "rounds", "seconds", "bytes_down", "bytes_up"}
    told = report.model_dump(mode="json", include={*kept, "optimizer_steps"})
    return {"title": column.title, "variant": str(column.variant), **told}
