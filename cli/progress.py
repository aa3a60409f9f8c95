"""Where jobs stand, live: a table on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cli.listing import origin
from cli.patience import Patience
from cli.waiting import Quiet
from shared.api_client import ApiClient
from shared.messages import AssignmentKind
from shared.results import TaskLosses
from shared.sizes import size
from shared.states import JOB_TERMINAL, AssignmentState, JobState
from shared.terminal import one_line
from shared.views import AssignmentView, ForkRow, JobView, RoundView

_REFRESH_S = 1.0  # where nothing happens: heartbeats are no events
_PACE_S = 0.2  # what happens faster is shown together
_LAST = (AssignmentKind.PERSONALIZE, AssignmentKind.EVALUATE)
_BEHIND_TRAINING = JOB_TERMINAL | {JobState.PERSONALIZING, JobState.EVALUATING, JobState.PAUSED}
_STATE_STYLE = {JobState.SUCCEEDED: "green", JobState.FAILED: "red", JobState.CANCELLED: "yellow"}


@dataclass(frozen=True)
class Progress:
    """One job and its rounds at one moment."""

    job: JobView
    rounds: tuple[RoundView, ...]
    forks: tuple[ForkRow, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.job.state in JOB_TERMINAL

    @property
    def n_bytes(self) -> int:
        """Bytes that travelled so far."""
        return sum(each.bytes_down + each.bytes_up for each in self.rounds)

    @property
    def n_replacements(self) -> int | None:
        """How often a task's components were copied from the engaged to the personal model.

        None where nothing has been decided about that.
        """
        assignments = (part for each in self.rounds for part in each.assignments)
        decided = [decision.replaced for part in assignments for decision in part.decisions]
        return sum(decided) if decided else None

    @property
    def seconds(self) -> float:
        """How long the job has been there."""
        return (self.job.updated_at - self.job.created_at).total_seconds()

    def part(self, client: str) -> AssignmentView | None:
        """The client's part in the newest round that has one."""
        for each in reversed(self.rounds):
            for part in each.assignments:
                if part.client == client:
                    return part
        return None

    def losses(self, client: str) -> dict[str, TaskLosses]:
        """The losses that the client reported last."""
        for each in reversed(self.rounds):
            for part in each.assignments:
                if part.client == client and part.losses:
                    return part.losses
        return {}


class Watcher:
    """Asks how jobs stand, and never again for a round that has closed."""

    def __init__(self, api: ApiClient, jobs: Sequence[str]) -> None:
        self._api = api
        self._jobs = jobs
        self._closed: dict[tuple[str, AssignmentKind, int], RoundView] = {}
        self._begun: set[str] = set()
        self._open: dict[str, int] = {}  # the last event that is known of each job that goes on

    def look(self, wait_s: float = 0.0) -> list[Progress]:
        """All jobs as they stand; waits so long for something to happen. Raises ApiError.

        What happens to the first one that has not ended is seen at once.
        """
        waits_for = next((job for job in self._jobs if job in self._open), None)
        return [self._progress(job, wait_s if job == waits_for else 0.0) for job in self._jobs]

    def _progress(self, job: str, wait_s: float) -> Progress:
        view = self._api.job(job, self._open.get(job), wait_s)
        if view.state in JOB_TERMINAL:
            self._open.pop(job, None)
        else:
            self._open[job] = view.last_event
        before = view.forked_from.round if view.forked_from else 0
        trained = [self._round(job, number) for number in range(before + 1, view.round + 1)]
        last = [each for phase in _LAST for each in self._of(job, phase, view.state)]
        return Progress(view, (*trained, *last), view.forks)

    def _round(self, job: str, number: int) -> RoundView:
        if job not in self._begun:  # all that there are, by pages
            self._begun.add(job)
            for each in self._api.rounds(job):
                self._keep(job, each)
        known = self._closed.get((job, AssignmentKind.TRAIN, number))
        return self._keep(job, self._api.round(job, number)) if known is None else known

    def _of(self, job: str, phase: AssignmentKind, state: JobState) -> list[RoundView]:
        """The rounds of a phase behind the training, while the job may have any."""
        known = [each for (of, kind, _), each in self._closed.items() if (of, kind) == (job, phase)]
        if known or state not in _BEHIND_TRAINING:
            return known
        return [self._keep(job, each) for each in self._api.rounds(job, phase)]

    def _keep(self, job: str, found: RoundView) -> RoundView:
        if found.closed_at is not None:
            self._closed[job, found.phase, found.number] = found
        return found


def follow(
    api: ApiClient,
    jobs: Sequence[str],
    console: Console,
    check: Callable[[], None],
    give_up: timedelta | None,
) -> list[Progress]:
    """Show the jobs until all have ended; `check` may raise to end the wait.

    Raises ApiError, also when the API has been away for as long as `give_up`.
    """
    began = time.monotonic()
    show = _show_table if console.is_terminal else _show_lines
    watcher = Watcher(api, jobs)
    patience = Patience(api.url, lambda said: _line(console, _since(began), said), give_up, check)

    def look(wait_s: float) -> list[Progress]:
        return patience.ask(lambda: watcher.look(wait_s))

    return show(look, console, check, began)


Look = Callable[[float], list[Progress]]


def _show_table(
    now: Look, console: Console, check: Callable[[], None], began: float
) -> list[Progress]:
    quietness = Quiet()
    with Live(console=console, auto_refresh=False) as live:
        while True:
            found = now(_REFRESH_S)
            elapsed_s = _since(began)
            quiet = [quietness.sentence(each.job, each.rounds, elapsed_s) for each in found]
            live.update(table(found, elapsed_s, quiet), refresh=True)
            if all(each.ended for each in found):
                return found
            check()
            time.sleep(_PACE_S)


def _show_lines(
    now: Look, console: Console, check: Callable[[], None], began: float
) -> list[Progress]:
    shown: dict[object, tuple[JobState, int]] = {}
    quietness, said = Quiet(), dict[tuple[object, str], str]()
    while True:
        found = now(_REFRESH_S)
        for each in found:
            elapsed_s = _since(began)
            at = (each.job.state, each.job.round)
            if shown.get(each.job.id) != at:
                shown[each.job.id] = at
                _line(console, elapsed_s, sentence(each))
            quiet = quietness.sentence(each.job, each.rounds, elapsed_s)
            for what, text in (("kin", lineage(each)), ("quiet", quiet)):
                if text and said.get((each.job.id, what)) != text:
                    said[each.job.id, what] = text
                    _line(console, elapsed_s, f"{each.job.name}: {text}")
        if all(each.ended for each in found):
            return found
        check()
        time.sleep(_PACE_S)


def _line(console: Console, elapsed_s: float, text: str) -> None:
    line = f"{elapsed_s:6.1f} s  {one_line(text)}"
    console.print(line, soft_wrap=True, markup=False, highlight=False)


def _since(began: float) -> float:
    return time.monotonic() - began


def sentence(progress: Progress) -> str:
    """One job in a line."""
    job = progress.job
    parts = [f"{job.name}: {job.state}", f"round {job.round} of {job.rounds}"]
    replaced = progress.n_replacements
    parts += [] if replaced is None else [f"{replaced} replacements"]
    parts += [f"{size(progress.n_bytes)} sent", mean_losses(progress)]
    return ", ".join(part for part in parts if part)


def lineage(progress: Progress) -> str:
    """The job and round that it was forked from, and its own forks; empty without either."""
    parent = progress.job.forked_from
    forks = "; ".join(f"{each.name} ({each.id}, round {each.round})" for each in progress.forks)
    said = (
        origin(parent) if parent else "",
        f"its forks: {forks}" if forks else "",
    )
    return "; ".join(part for part in said if part)


def mean_losses(progress: Progress) -> str:
    """The mean loss of both models over all clients and tasks; empty before the first report."""
    found = [loss for client in progress.job.clients for loss in progress.losses(client).values()]
    engaged = [loss.engaged for loss in found if loss.engaged is not None]
    personal = [loss.personal for loss in found if loss.personal is not None]
    said = [
        f"{name} loss {sum(values) / len(values):.3f}"
        for name, values in (("engaged", engaged), ("personal", personal))
        if values
    ]
    return ", ".join(said)


def table(found: Sequence[Progress], elapsed_s: float, quiet: Sequence[str] = ()) -> Group:
    """The jobs, their kin, and why those wait that are `quiet`; clients below may be cut."""
    kin = (Text(f"{each.job.name}: {said}") for each in found if (said := lineage(each)))
    waits = (
        Text(f"{each.job.name}: {why}") for each, why in zip(found, quiet, strict=False) if why
    )
    time_ = Text(f"{elapsed_s:.0f} s", style="dim")
    return Group(_jobs(found), *kin, *waits, time_, _clients(found))


def _jobs(found: Sequence[Progress]) -> Table:
    shown = Table(box=None, pad_edge=False)
    for title in ("job", "state", "round", "replacements", "sent", "mean losses"):
        shown.add_column(title)
    for each in found:
        job = each.job
        shown.add_row(
            job.name,
            Text(str(job.state), style=_STATE_STYLE.get(job.state, "cyan")),
            f"{job.round} of {job.rounds}",
            "-" if each.n_replacements is None else str(each.n_replacements),
            size(each.n_bytes),
            mean_losses(each),
        )
    return shown


def _clients(found: Sequence[Progress]) -> Table:
    shown = Table(box=None, pad_edge=False)
    shown.add_column("client")
    for each in found:
        shown.add_column(each.job.name)
    names = sorted({client for each in found for client in each.job.clients})
    for name in names:
        shown.add_row(name, *(_cell(each, name) for each in found))
    return shown


def _cell(progress: Progress, client: str) -> str:
    """A client's state and its last losses, engaged and personal, one pair for each task."""
    part = progress.part(client)
    if part is None:
        return ""
    state = str(part.state)
    if part.state is AssignmentState.LEASED and not progress.ended:
        state = f"{part.kind} {part.progress:.0%}"
    pairs = (
        "/".join(
            "-" if value is None else f"{value:.2f}" for value in (loss.engaged, loss.personal)
        )
        for loss in progress.losses(client).values()
    )
    return " ".join([f"{state:11}", *pairs])
