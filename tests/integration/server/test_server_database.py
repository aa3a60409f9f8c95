"""What a process sees of Postgres after it has stood still."""

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any, cast

import psycopg
import pytest
from sqlalchemy import Engine, text

from server import database
from server.database import DatabaseAwayError, check_current, make_engine, reachable
from server.errors import DATABASE_AWAY

pytestmark = pytest.mark.integration


def _stand_still(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("set local idle_in_transaction_session_timeout = '50ms'"))
        time.sleep(0.5)  # this process stands still for longer than Postgres bears
        connection.execute(text("select 1"))


def test_who_stood_still_within_a_transaction_finds_the_database_away(database_url: str) -> None:
    engine = make_engine(database_url)
    try:
        with pytest.raises(DATABASE_AWAY):
            _stand_still(engine)
        with engine.begin() as connection:
            assert connection.scalar(text("select 1")) == 1, "a connection of the dead is not kept"
    finally:
        engine.dispose()


def test_a_postgres_that_goes_away_while_a_process_starts_is_one_sentence(
    database_url: str,
) -> None:
    with reachable(database_url) as engine:
        check_current(engine)
        gone = make_engine(engine.url.set(port=1).render_as_string(hide_password=False))
        with pytest.raises(DatabaseAwayError, match="start it, or correct"):
            check_current(gone)


@pytest.fixture
def cut(database_url: str) -> Iterator[tuple[Engine, int]]:
    """An engine whose only connection was cut from outside, and its backend's process."""
    engine, other = make_engine(database_url), make_engine(database_url)
    with engine.connect() as connection, other.connect() as another:
        pid = connection.execute(text("select pg_backend_pid()")).scalar_one()
        connection.rollback()
        assert another.scalar(text("select pg_terminate_backend(:pid)"), {"pid": pid})
    yield engine, pid
    engine.dispose()
    other.dispose()


def backend(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("select pg_backend_pid()")).scalar_one())


def test_a_connection_that_was_cut_while_it_was_idle_is_not_used(
    cut: tuple[Engine, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, pid = cut
    monkeypatch.setattr(database, "_LOOK_AFTER_S", 0.0)
    assert backend(engine) != pid


def test_one_that_was_just_used_tells_by_failing_and_is_not_used_again(
    cut: tuple[Engine, int],
) -> None:
    engine, pid = cut
    with pytest.raises(DATABASE_AWAY):
        backend(engine)
    assert backend(engine) != pid


def test_what_a_thread_still_holds_is_closed_too_once_it_is_given_back(database_url: str) -> None:
    engine, taken, free = make_engine(database_url), threading.Event(), threading.Event()
    held: list[psycopg.Connection[Any]] = []

    def hold() -> None:
        with engine.connect() as connection:
            held.append(cast("psycopg.Connection[Any]", connection.connection.dbapi_connection))
            taken.set()
            free.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(10)

    async def end() -> None:
        ending = asyncio.create_task(database.dispose(engine))
        await asyncio.sleep(0)
        assert not ending.done(), "it is still held"
        free.set()
        await ending

    asyncio.run(end())
    thread.join(10)
    assert held[0].closed
