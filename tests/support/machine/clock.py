"""A database whose clock stands still until a test moves it.

`now()` is looked up along the search path, so that a function of that name in `public` is found
before Postgres's own: by queries, and by the columns' defaults, which are bound when the schema is
made. Nobody sleeps, and what depends on time can be predicted to the microsecond.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg

from server.migrate import upgrade

_BEGINNING = datetime(2030, 1, 1, tzinfo=UTC)
_FUNCTIONS = """
    CREATE TABLE clock (at timestamptz NOT NULL);
    CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql STABLE
        AS 'SELECT at FROM public.clock';
    CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE
        AS 'SELECT at FROM public.clock';
"""


class Clock:
    """The time of that database."""

    def __init__(self, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        self._connection = connection
        self.now = _BEGINNING

    def begin(self) -> None:
        """Begin anew."""
        self.now = _BEGINNING
        self._write()

    def pass_(self, time: timedelta) -> None:
        """Let time pass."""
        self.now += time
        self._write()

    def _write(self) -> None:
        self._connection.execute("UPDATE clock SET at = %s", [self.now])


@contextmanager
def clocked(url: str) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    """Make the empty database's schema upon a clock of its own; a connection to it."""
    address = url.replace("postgresql+psycopg:", "postgresql:")
    with psycopg.connect(address, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f'ALTER DATABASE "{name}" SET search_path = public, pg_catalog'.encode())
        connection.execute(_FUNCTIONS.encode())
        connection.execute("INSERT INTO clock VALUES (%s)", [_BEGINNING])
    upgrade(url)
    with psycopg.connect(address, autocommit=True) as connection:
        # It asks the same again and again of small tables: planning would take most of the time.
        connection.execute("SET plan_cache_mode = force_generic_plan")
        yield connection
