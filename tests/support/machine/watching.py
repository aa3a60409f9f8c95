"""I7 after each step: the watchdog's own queries, judged by when each timer last ran to its end.

The clock jumps by hours while no timer runs, so that being late is no fault by itself. What is late
and must not be is told exactly, without the watchdog's ten minutes: see `_judged`.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from unittest.mock import MagicMock

from sqlalchemy import literal, select, union_all
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from server.rounds.standing import LOOK_AGAIN
from server.timer import _BUSY
from server.watchdog import find
from tests.support.machine.arena import Query, Rows
from tests.support.machine.reference import Reference, need

TIMERS = ("leases", "hints", "advance")  # what moves rows when their time has come

# What the watchdog finds, and the timer that sees to it: late is what its last run has left. ""
# is late at once; `_judged` says what of that may be.
_SEEN_TO_BY = {
    "no_round": "",
    "outlived_its_round": "",
    "overdue": "advance",
    "lease_forgotten": "leases",
    "never_hinted": "hints",
    "past_deadline": "",
    "aggregation_left": "",
}
_DUE = "SELECT id::text, due_at FROM jobs"


def _watchdog() -> tuple[str, dict[str, Any]]:
    """All queries of the watchdog as one, of (code, id); the lateness of each is set later.

    The watchdog asks a session that notes the queries and answers each with one row.
    """
    session = MagicMock()
    session.scalars.return_value = [MagicMock()]
    session.execute.return_value = [(MagicMock(), MagicMock())]
    late = {timedelta(days=n): code for n, code in enumerate(_SEEN_TO_BY, 1000)}
    parts = []
    for lateness, wanted in late.items():
        session.reset_mock()
        for finding, call in zip(find(session, lateness), session.method_calls, strict=True):
            need(finding.code in _SEEN_TO_BY, f"a new finding: which timer sees to {finding.code}?")
            if finding.code == wanted:
                rows = call.args[0].subquery()
                parts.append(select(literal(wanted).label("code"), rows.c.id))
    need(len(parts) == len(late), "the watchdog no longer finds what it found")
    options = {"render_postcompile": True}
    dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy has no type here
    compiled = union_all(*parts).compile(dialect=dialect, compile_kwargs=options)
    values = {name: _value(value, late) for name, value in compiled.params.items()}
    return str(compiled), values


def _value(value: Any, late: Mapping[timedelta, str]) -> Any:
    """What is sent: of a lateness the code, which `Watch` replaces."""
    if isinstance(value, timedelta):
        return _Lateness(late[value])
    return str(value) if isinstance(value, StrEnum) else value


class _Lateness(str):
    """Stands for the time since which rows with this code are too late."""

    __slots__ = ()


_QUERY, _VALUES = _watchdog()


class Watch:
    """Finds rows without a future, whatever the time."""

    def __init__(self, reference: Reference, began: datetime) -> None:
        self._reference = reference
        self._ran = dict.fromkeys(TIMERS, began)

    def ran(self, timer: str, now: datetime) -> None:
        """A timer's step has run, undisturbed."""
        if timer in self._ran:
            self._ran[timer] = now

    def queries(self, now: datetime) -> list[Query]:
        """What is asked with the other queries of a step."""
        lateness = {code: now - self._ran.get(name, now) for code, name in _SEEN_TO_BY.items()}
        values = {k: lateness[v] if isinstance(v, _Lateness) else v for k, v in _VALUES.items()}
        return [(_QUERY, values), (_DUE, [])]

    def judge(self, now: datetime, rows: Rows, jobs: Rows) -> None:
        """What the queries found. Raises AssertionError where a row has no future."""
        due = {row["id"]: row["due_at"] for row in jobs}
        broken = [*self._judged(now, [(r["code"], str(r["id"])) for r in rows], due)]
        need(not broken, "\n".join(broken))

    def _judged(
        self, now: datetime, rows: list[tuple[str, str]], due: Mapping[str, datetime]
    ) -> Iterator[str]:
        """What of that is a fault.

        A job without a round and an assignment without an open one are faults at any time: states
        change together. A job that was due, and a lease that was over, before its timer last ran
        to its end are faults too: the timer would have taken it.
        """
        for code, row in rows:
            match code:
                case "never_hinted":
                    # The timer could not see it if it became claimable, or its job left its pause
                    # to be cancelled, behind the timer's last run: it hints it when it runs next.
                    work = self._reference.work[row]
                    fault = max(work.since, work.job.since) < self._ran["hints"]
                case "past_deadline":
                    # Until the job is looked at, which is soon: a timer that takes a job keeps
                    # the others from it for so long, and may die.
                    fault = due[self._reference.rounds[row].job.id] > now + _BUSY
                case "aggregation_left":
                    # Who closed the round may have died before it took it; the look before that
                    # said when the next one is.
                    fault = due[self._reference.rounds[row].job.id] > now + LOOK_AGAIN
                case _:
                    fault = True
            if fault:
                yield f"I7 {row}: {code}, and no timer will see to it (jobs are due at {due})"
