"""The real servers of the tests: one Postgres and one Valkey for each process of pytest-xdist."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from cli.stack import postgres, valkey
from cli.stack.processes import Processes

_TEMPLATE = "tapestry_template"


@dataclass
class Databases:
    """A Postgres server that makes databases, empty or migrated."""

    server: postgres.Postgres
    migrated: bool = field(default=False)
    count: int = field(default=0)

    def create(self, *, migrated: bool) -> str:
        """The address of a new database."""
        if migrated and not self.migrated:
            self._execute(f"CREATE DATABASE {_TEMPLATE}")
            _migrate(self.server.url(_TEMPLATE))
            self.migrated = True
        self.count += 1
        name = f"test_{self.count}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE if migrated else 'template0'}")
        return self.server.url(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        self._execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        address = self.server.url("postgres").replace("postgresql+psycopg:", "postgresql:")
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(statement.encode())


def _migrate(url: str) -> None:
    from server.migrate import upgrade  # noqa: PLC0415 - unit tests need no SQLAlchemy

    upgrade(url)


@pytest.fixture(scope="session")
def processes() -> Iterator[Processes]:
    """Starts processes that end with the session, even when pytest is killed."""
    with Processes() as started:
        yield started


@pytest.fixture(scope="session")
def server_directory(processes: Processes) -> Path:
    """A private directory for servers, removed at the end."""
    return processes.own_directory(Path(tempfile.mkdtemp(prefix="tapestry-tests-")))


@pytest.fixture(scope="session")
def databases(processes: Processes, server_directory: Path) -> Databases:
    """The session's Postgres; fsync is off, for a test's data need not outlive a power cut."""
    return Databases(postgres.start(processes, server_directory / "postgres", durable=False))


@pytest.fixture(scope="session")
def postgres_url(databases: Databases) -> str:
    """An empty database for the session, without Tapestry's tables."""
    return databases.create(migrated=False)


@pytest.fixture(scope="module")
def database_url(databases: Databases) -> Iterator[str]:
    """A fresh database for the module, migrated to head."""
    url = databases.create(migrated=True)
    yield url
    databases.drop(url)


@pytest.fixture(scope="session")
def redis_url(processes: Processes, server_directory: Path) -> str:
    """The session's Valkey; a test that needs an empty one flushes it."""
    return valkey.start(processes, server_directory / "valkey").url()
