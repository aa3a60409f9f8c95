"""The schema goes up, down and up again, and is what the tables say."""

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect

from server.database import SCHEMA
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
