"""Postgres: the engine with its time limits, sessions, and values to and from JSON."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
from pydantic import BaseModel, ValidationError
from sqlalchemy import Connection, Engine, create_engine, event, inspect, select, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection, QueuePool

from server.errors import invalid
from server.lifecycle import tell
from server.tables import Job
from shared.crash_points import crash_point
from shared.spec_files import explain

Sessions = sessionmaker[Session]

_LIMITS = "-c statement_timeout=10s -c lock_timeout=2s -c idle_in_transaction_session_timeout=30s"
_IS_UNICODE = (
    "select pg_encoding_to_char(encoding) = 'UTF8' from pg_database "
    "where datname = current_database()"
)
CONNECT_TIMEOUT_S = 3
_LOOK_AFTER_S = 1.0
_GIVEN_BACK_WITHIN_S = 12.0  # statements end by themselves before
_LOOK_AGAIN_S = 0.01
SCHEMA = "0013"  # the newest migration; a test holds it to that


def make_engine(url: str) -> Engine:
    """An engine whose connections cannot hang: every wait has a limit."""
    engine = create_engine(
        url,
        pool_size=20,
        max_overflow=0,  # each that flows over is opened and closed, which costs Postgres a process
        pool_timeout=CONNECT_TIMEOUT_S,
        hide_parameters=True,  # of statements in errors, which are logged
        connect_args={
            "options": _LIMITS,
            "connect_timeout": CONNECT_TIMEOUT_S,
            "client_encoding": "utf8",  # else texts of a database without one come as bytes
        },
    )
    event.listen(engine, "handle_error", _name_a_cut)
    _look_at_idle(engine)
    return engine


def _look_at_idle(engine: Engine) -> None:
    """Before a connection is used again that was idle for a while, see whether it still is one.

    As `pool_pre_ping`, which does so each time, and costs a way to Postgres and back.
    """

    def left(_: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        record.info["left"] = time.monotonic()

    def taken(
        connection: DBAPIConnection, record: ConnectionPoolEntry, _: PoolProxiedConnection
    ) -> None:
        idle = time.monotonic() - record.info.get("left", time.monotonic())
        if idle > _LOOK_AFTER_S and not _answers(engine, connection):
            raise InvalidatePoolError

    event.listen(engine, "checkin", left)
    event.listen(engine, "checkout", taken)


def _answers(engine: Engine, connection: DBAPIConnection) -> bool:
    try:
        return engine.dialect.do_ping(connection)
    except engine.dialect.loaded_dbapi.Error as error:
        if engine.dialect.is_disconnect(error, connection, None):
            return False
        raise


def _name_a_cut(context: ExceptionContext) -> None:
    """A connection that Postgres cut, for this process stood still, is one that is away."""
    error = context.original_exception
    if isinstance(error, psycopg.errors.IdleInTransactionSessionTimeout):
        context.is_disconnect = True
        raise OperationalError(context.statement, context.parameters, error) from error


async def dispose(engine: Engine) -> None:
    """Close all connections, those last that threads still hold, whom nobody waits for any more.

    What comes back to a pool behind its end stays open.
    """
    pool, end = engine.pool, time.monotonic() + _GIVEN_BACK_WITHIN_S
    while isinstance(pool, QueuePool) and pool.checkedout() and time.monotonic() < end:  # noqa: ASYNC110 - a pool tells nobody
        await asyncio.sleep(_LOOK_AGAIN_S)
    engine.dispose()


def make_sessions(engine: Engine) -> Sessions:
    """Sessions whose rows stay readable after the commit, and whose events are logged by it."""
    made = sessionmaker(engine, expire_on_commit=False)
    tell(made)
    return made


@contextmanager
def killable(sessions: Sessions, name: str) -> Iterator[Session]:
    """A transaction before and behind whose commit a test may kill this process.

    The points are `NAME.written` and `NAME.committed`, see shared.crash_points.
    """
    with sessions.begin() as session:
        yield session
        session.flush()
        crash_point(f"{name}.written")
    crash_point(f"{name}.committed")


@contextmanager
def glance(sessions: Sessions) -> Iterator[Session]:
    """A session for a statement or two that need no transaction: without BEGIN and COMMIT.

    For what idle clients ask again and again; each statement is committed by itself.
    """
    with sessions() as session:
        session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
        yield session
        session.commit()


class DatabaseAwayError(Exception):
    """Postgres cannot be used; the text says why and what to do."""


@contextmanager
def reachable(url: str) -> Iterator[Engine]:
    """An engine on a Postgres that answers; disposed at the end. Raises DatabaseAwayError."""
    engine = make_engine(url)
    try:
        _check_usable(engine)
        yield engine
    finally:
        engine.dispose()


def _check_usable(engine: Engine) -> None:
    where = engine.url
    with _answering(engine) as connection:
        unicode = connection.scalar(text(_IS_UNICODE))
    if not unicode:
        raise DatabaseAwayError(
            f"Database {where.database} at {where.host} is not encoded as UTF-8: "
            "create one WITH ENCODING 'UTF8' TEMPLATE template0."
        )


@contextmanager
def _answering(engine: Engine) -> Iterator[Connection]:
    """A connection to a Postgres that goes on answering. Raises DatabaseAwayError."""
    where = engine.url
    try:
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise DatabaseAwayError(
            f"Postgres at {where.host}:{where.port or 5432}, database {where.database}, cannot be "
            "used: start it, or correct TAPESTRY_DATABASE_URL."
        ) from error


def check_current(engine: Engine) -> None:
    """Raises DatabaseAwayError when the schema is not this version's, or nobody says."""
    with _answering(engine) as connection:
        made = inspect(connection).has_table("alembic_version")
        query = text("select version_num from alembic_version")
        found = connection.scalar(query) if made else None
    if found != SCHEMA:
        raise DatabaseAwayError(
            f"The database's schema is {found or 'empty'}, not {SCHEMA}: "
            "run `python -m server.migrate`."
        )


def to_json(value: BaseModel) -> dict[str, Any]:
    """The value as JSON that reads back as the same value. Raises ProblemError (422).

    Infinite numbers pass validation in places but have no JSON: they are refused here.
    """
    data: dict[str, Any] = value.model_dump(mode="json")
    try:
        type(value).model_validate(data)
    except ValidationError as error:
        raise invalid(explain(type(value), error)) from error
    return data


def lock_job(session: Session, job_id: UUID) -> Job | None:
    """The job, locked: whoever changes anything of a job takes this lock first.

    Order of locks everywhere: job, client, assignment. So nothing deadlocks, and a job's events
    are committed in the order of their ids.
    """
    query = select(Job).where(Job.id == job_id).with_for_update(key_share=True)
    return session.scalars(query, execution_options={"populate_existing": True}).one_or_none()
