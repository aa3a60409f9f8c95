"""Why jobs wait: a table for one, and a sentence for those in which nothing has changed."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from rich.table import Table
from rich.text import Text

from shared.views import JobView, RoundView
from shared.waiting import WaitingList

QUIET_S = 5.0


def waiting_table(found: WaitingList, now: datetime) -> Table:
    """All that waits in a job: who moves it on stands before the sentence."""
    shown = Table(box=None, pad_edge=False)
    for title in ("what", "why", "since", "until", "then"):
        shown.add_column(title, no_wrap=title in {"since", "until"})
    for item in found.items:
        waiting = item.waiting
        cells = (
            f"{item.kind} {item.name}",
            f"{waiting.owner} ({waiting.cause}): {waiting.sentence}",
            ago(now - waiting.since),
            _local(waiting.until, now) if waiting.until else "-",
            waiting.then,
        )
        shown.add_row(*(Text(cell) for cell in cells))
    return shown


def ago(time: timedelta) -> str:
    """A time that has passed, in its largest unit; none where the clocks differ."""
    seconds = max(time.total_seconds(), 0)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _local(at: datetime, now: datetime) -> str:
    """The time, with the date on another day."""
    here, today = at.astimezone(), now.astimezone().date()
    return here.strftime("%H:%M:%S" if here.date() == today else "%m-%d %H:%M")


class Quiet:
    """Notices jobs in which nothing has changed for some seconds."""

    def __init__(self) -> None:
        self._last: dict[object, tuple[object, float]] = {}

    def sentence(self, job: JobView, rounds: Sequence[RoundView], now_s: float) -> str:
        """Why the job waits, once it has been quiet for long enough; empty before."""
        seen = _fingerprint(job, rounds)
        before, since_s = self._last.get(job.id, (None, now_s))
        if before != seen:
            self._last[job.id] = (seen, now_s)
            return ""
        quiet = now_s - since_s >= QUIET_S
        return job.waiting.sentence if quiet and job.waiting else ""


def _fingerprint(job: JobView, rounds: Sequence[RoundView]) -> object:
    """What changes when a job moves."""
    parts = [
        (part.id, part.state, part.attempt, part.progress)
        for each in rounds
        for part in each.assignments
    ]
    return job.state, job.round, parts
