"""`--dry-run`: what a job or a fork would need and cost, verdict first."""

import uuid
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.table import Table

from cli.output import console, print_json, warn
from shared.api_client import ApiClient
from shared.dry_run import ClientPlan, ComponentPlan, DryRunView, Span, TaskCoverage, Verdict
from shared.exits import ExitCode
from shared.job_spec import JobSpec
from shared.sizes import size
from shared.views import JobFork
from shared.waiting import Cause

_FIRST_S, _WAIT_S = 5.0, 30.0
_MOST_WAITS = 10  # together what a planner may take
_VERDICTS = {
    Verdict.CAN_RUN: "the job can run",
    Verdict.CANNOT_RUN: "the job cannot run",
    Verdict.UNKNOWN: "nobody can say yet whether the job can run",
}


DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what it would need and cost; launch nothing.")
]


def try_out(api: ApiClient, spec: JobSpec, key: str | None, *, json: bool) -> None:
    """Ask, wait for a planner, print; ends with status 1 unless the job can run."""
    _say(answer(api, spec, key), json=json)


def try_out_fork(
    api: ApiClient, job: uuid.UUID, wish: JobFork, key: str | None, *, json: bool
) -> None:
    """Ask and print; ends with status 1 unless the fork can run."""
    _say(api.try_out_fork(job, wish, key or str(uuid.uuid4())), json=json)


def _say(found: DryRunView, *, json: bool) -> None:
    if json:
        print_json(found)
    else:
        for part in shown(found):
            console().print(part, soft_wrap=isinstance(part, str))
    if found.verdict is not Verdict.CAN_RUN:
        raise typer.Exit(ExitCode.FAILED)


def answer(api: ApiClient, spec: JobSpec, key: str | None = None) -> DryRunView:
    """The whole answer, or as much as there is where no planner is there or none answers."""
    found = api.try_out(spec, key or str(uuid.uuid4()), _FIRST_S)
    for _ in range(_MOST_WAITS):
        if found.waiting is None or found.waiting.cause is Cause.PLANNER_SILENT:
            break
        warn(found.waiting.sentence)
        found = api.dry_run(found.id, _WAIT_S)
    return found


def shown(found: DryRunView) -> Iterator[RenderableType]:
    """The verdict with its reasons, the warnings, then the tables."""
    origin = found.forked_from
    behind = f" as a fork from version {origin.round} of {origin.job}" if origin else ""
    yield _VERDICTS[found.verdict] + behind
    yield from (f"  {reason.sentence}" for reason in found.reasons)
    if found.waiting:
        yield f"  {found.waiting.sentence}"
    yield from (f"warning: {sentence}" for sentence in found.warnings)
    for table in (_tasks(found), _components(found), _clients(found)):
        yield ""
        yield table
    yield ""
    yield from _costs(found)


def _tasks(found: DryRunView) -> Table:
    table = _table("task", "client", "reads", "train", "validation", "test", "by class")
    for name, task in found.tasks.items():
        for row in _shares(task):
            table.add_row(name, *row)
    return table


def _shares(task: TaskCoverage) -> Iterator[tuple[str, ...]]:
    if not task.clients:
        yield ("-",) * 6
    for client, share in task.clients.items():
        counts = "-" if share.per_class is None else " ".join(map(str, share.per_class))
        reads = ", ".join(share.modalities)
        yield client, reads, str(share.train), str(share.validation), str(share.test), counts


def _components(found: DryRunView) -> Table:
    table = _table("component", "values", "travels", "frozen", "contributors (weight)")
    for name, component in found.components.items():
        table.add_row(name, *_sizes(component), _makers(component))
    if found.version:
        whole = found.version
        cells = (f"{whole.n_values:,}", size(whole.n_bytes), size(whole.frozen_bytes))
        table.add_row("a whole version", *cells, "")
    return table


def _sizes(plan: ComponentPlan | ClientPlan) -> tuple[str, str, str]:
    if plan.size is None:
        return "?", "?", "?"
    each = plan.size
    return f"{each.n_values:,}", size(each.n_bytes), size(each.frozen_bytes)


def _makers(component: ComponentPlan) -> str:
    makers = (f"{client} ({weight})" for client, weight in component.contributors.items())
    return ", ".join(makers) or "none: it is not averaged"


def _clients(found: DryRunView) -> Table:
    titles = (
        "client",
        "seen",
        "components",
        "values",
        "first down",
        "later",
        "up",
        "full",
        "round",
    )
    table = _table(*titles)
    for name, client in found.clients.items():
        seen = client.seen_at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if client.seen_at else "-"
        values, *_ = _sizes(client)
        table.add_row(name, seen, str(len(client.components)), values, *_moved(client))
    return table


def _moved(client: ClientPlan) -> tuple[str, ...]:
    each = client.traffic
    if each is None:
        return ("?",) * 5
    moved = (each.first_down, each.later_down, each.up, each.full_exchange)
    seconds = client.time.round_s if client.time else None
    return (*map(size, moved), "unknown" if seconds is None else _minutes(seconds))


def _costs(found: DryRunView) -> Iterator[str]:
    """A line for a round, one for the job, and why a time is not known."""
    if a_round := found.round:
        yield (
            f"a round of {a_round.asked} clients: {size(a_round.bytes_down_first)} down the first "
            f"time, {size(a_round.bytes_down)} later, {size(a_round.bytes_up)} up; full state "
            f"dicts would be {size(a_round.bytes_full_exchange)}; {_span(a_round.time)}"
        )
    if job := found.job:
        whose = "the fork's" if found.forked_from else "the job's"
        yield (
            f"{whose} {job.rounds} rounds: {size(job.bytes_down)} down, {size(job.bytes_up)} up; "
            f"full state dicts would be {size(job.bytes_full_exchange)}; {_span(job.time)}"
        )
    for name, client in found.clients.items():
        if client.time and client.time.round_s is None:
            yield f"minutes of {name}: {client.time.stands_on}"


def _span(time: Span | None) -> str:
    if time is None:
        return "minutes unknown"
    return (
        f"{_minutes(time.least_s)} with all clients at once, {_minutes(time.most_s)} one after "
        "the other"
    )


def _minutes(seconds: float) -> str:
    """A duration for people, in minutes unless it is short."""
    return f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.1f} min"


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    return table
