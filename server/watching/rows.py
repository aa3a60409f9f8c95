"""What Postgres knows, asked for when somebody scrapes: in one short transaction."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import product
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import ColumnElement, Float, Select, case, cast, extract, func, select, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool
from typing_extensions import override

from server.database import Sessions
from server.errors import DATABASE_AWAY
from server.side_tables import Outbox
from server.tables import Artifact, Assignment, Client, Job, Round
from shared.messages import AssignmentKind
from shared.states import ASSIGNMENT_CLAIMABLE, AssignmentState, JobState, RoundState
from shared.views import ALIVE

Question = Callable[[Session], Iterable[Metric]]
_LIMIT = text("SET LOCAL statement_timeout = '3s'")  # a scraper gives up after ten


class Rows(Collector):
    """Asks these questions; where Postgres does not answer it says so instead."""

    def __init__(self, sessions: Sessions, questions: Sequence[Question]) -> None:
        self._sessions = sessions
        self._questions = questions

    @override
    def collect(self) -> Iterator[Metric]:
        try:
            with self._sessions.begin() as session:
                session.execute(_LIMIT)
                found = [metric for ask in self._questions for metric in ask(session)]
        except DATABASE_AWAY:
            found = []
        up = "Whether Postgres answered; if not, nothing is said of what it holds."
        yield GaugeMetricFamily("tapestry_database_up", up, value=bool(found))
        yield from found

    def describe(self) -> Iterator[Metric]:
        """Nothing: nobody is asked while the process starts."""
        return iter(())


class Connections(Collector):
    """The process's connections to Postgres: used, idle, and how many there may be."""

    def __init__(self, sessions: Sessions) -> None:
        self._pool = sessions.kw["bind"].pool

    @override
    def collect(self) -> Iterator[Metric]:
        found = GaugeMetricFamily("tapestry_database_connections", "Connections.", labels=["state"])
        pool = self._pool
        if isinstance(pool, QueuePool):
            counts = {"used": pool.checkedout(), "idle": pool.checkedin(), "most": pool.size()}
            for state, count in counts.items():
                found.add_metric([state], count)
        yield found


def jobs(session: Session) -> Iterator[Metric]:
    """Jobs by state."""
    found = GaugeMetricFamily("tapestry_jobs", "Jobs.", labels=["state"])
    yield _counted(session, found, select(Job.state, func.count()).group_by(Job.state), JobState)


def rounds(session: Session) -> Iterator[Metric]:
    """Rounds by phase and state."""
    found = GaugeMetricFamily("tapestry_rounds", "Rounds.", labels=["phase", "state"])
    query = select(Round.phase, Round.state, func.count()).group_by(Round.phase, Round.state)
    yield _counted(session, found, query, AssignmentKind, RoundState)


def assignments(session: Session) -> Iterator[Metric]:
    """Assignments by kind and state."""
    found = GaugeMetricFamily("tapestry_assignments", "Assignments.", labels=["kind", "state"])
    by = (Assignment.kind, Assignment.state)
    query = select(*by, func.count()).group_by(*by)
    yield _counted(session, found, query, AssignmentKind, AssignmentState)


def _counted(
    session: Session,
    found: GaugeMetricFamily,
    query: "Select[Any, *tuple[Any, ...]]",
    *labels: Iterable[StrEnum],
) -> Metric:
    """The counts behind their labels' values; 0 where there is no row."""
    counts = {tuple(row[:-1]): row[-1] for row in session.execute(query)}
    for values in product(*labels):
        found.add_metric([str(value) for value in values], counts.get(values, 0))
    return found


def waits(session: Session) -> Iterator[Metric]:
    """How long the oldest assignment waits that somebody might claim."""
    says = "How long the oldest assignment of a job that goes on waits to be claimed."
    found = GaugeMetricFamily("tapestry_oldest_wait_seconds", says, labels=["kind"])
    queued = func.greatest(Assignment.created_at, Assignment.not_before)
    suspect = Assignment.state == AssignmentState.SUSPECT
    since = case((suspect, Assignment.lease_until), else_=queued)
    query = (
        select(Assignment.kind, _seconds_since(func.min(since)))
        .join(Job, Job.id == Assignment.job_id)
        .where(
            Assignment.state.in_(ASSIGNMENT_CLAIMABLE),
            Assignment.not_before <= func.now(),
            Job.state != JobState.PAUSED,
        )
        .group_by(Assignment.kind)
    )
    oldest = {kind: float(seconds) for kind, seconds in session.execute(query)}
    for kind in AssignmentKind:
        found.add_metric([kind], oldest.get(kind, 0.0))
    yield found


def _seconds_since(when: ColumnElement[object]) -> ColumnElement[float]:
    return cast(extract("epoch", func.now() - when), Float)


def artifacts(session: Session) -> Iterator[Metric]:
    """What the store holds."""
    total = func.coalesce(func.sum(Artifact.n_bytes), 0)
    count, n_bytes = session.execute(select(func.count(), total).select_from(Artifact)).one()
    yield GaugeMetricFamily("tapestry_artifacts", "Artifacts that are kept.", value=count)
    yield GaugeMetricFamily("tapestry_artifact_bytes", "Their bytes.", value=float(n_bytes))


def clients(session: Session) -> Iterator[Metric]:
    """Who is registered, and who was there within a minute."""
    here = func.count().filter(Client.seen_at > func.now() - ALIVE)
    count, present = session.execute(select(func.count(), here).select_from(Client)).one()
    yield GaugeMetricFamily("tapestry_clients", "Clients that are registered.", value=count)
    says = "Clients that a worker spoke for within a minute."
    yield GaugeMetricFamily("tapestry_clients_present", says, value=present)


def outbox(session: Session) -> Iterator[Metric]:
    """Messages that are to be sent."""
    oldest = func.coalesce(_seconds_since(func.min(Outbox.created_at)), 0)
    query = select(func.count(), oldest).select_from(Outbox).where(Outbox.sent_at.is_(None))
    count, seconds = session.execute(query).one()
    yield GaugeMetricFamily("tapestry_outbox_waiting", "Messages to be sent.", value=count)
    says = "How long the oldest of them waits."
    yield GaugeMetricFamily("tapestry_outbox_oldest_seconds", says, value=float(seconds))


ALL: Sequence[Question] = (jobs, rounds, assignments, waits, artifacts, clients, outbox)
