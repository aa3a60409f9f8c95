"""Why jobs wait: a table for one, and a sentence for those in which nothing has changed."""

from collections.abc import Sequence
from datetime import datetime

from rich.table import Table

from shared.views import JobView, RoundView
from shared.waiting import WaitingList

QUIET_S = 5.0


def waiting_table(found: WaitingList) -> Table:
    """All that waits in a job."""
    shown = Table(box=None, pad_edge=False)
    for title in ("what", "why", "until", "then"):
        shown.add_column(title, no_wrap=title == "until")
    for item in found.items:
        waiting = item.waiting
        until = _local(waiting.until) if waiting.until else "-"
        shown.add_row(f"{item.kind} {item.name}", waiting.sentence, until, waiting.then)
    return shown


def _local(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


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
