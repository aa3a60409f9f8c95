"""The schema goes up, down and up again, and is what the tables say."""

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from server.database import SCHEMA, DatabaseAwayError, reachable
from server.migrate import config_for, downgrade, upgrade

pytestmark = pytest.mark.integration


def tables(url: str) -> set[str]:
    engine = create_engine(url)
    names = set(inspect(engine).get_table_names())
    engine.dispose()
    return names - {"alembic_version"}


def test_the_server_asks_for_the_newest_schema() -> None:
    assert ScriptDirectory.from_config(config_for("")).get_current_head() == SCHEMA


def test_up_down_up(databases: object) -> None:
    url = databases.create(migrated=False)  # type: ignore[attr-defined]  # conftest's own class
    upgrade(url)
    command.check(config_for(url))
    first = tables(url)
    assert {"jobs", "events", "outbox"} <= first
    downgrade(url, "0001")
    upgrade(url)
    downgrade(url, "base")
    assert tables(url) == set()
    upgrade(url)
    assert tables(url) == first
    databases.drop(url)  # type: ignore[attr-defined]  # conftest's own class


def test_a_database_without_unicode_is_refused_with_the_remedy(postgres_url: str) -> None:
    engine = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(
            text("CREATE DATABASE plain TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
        )
    engine.dispose()
    with (
        pytest.raises(DatabaseAwayError, match="not encoded as UTF-8"),
        reachable(f"{postgres_url.rpartition('/')[0]}/plain"),
    ):
        pass
