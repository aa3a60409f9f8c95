"""Alembic's entry: the address comes from `server.migrate`, or from TAPESTRY_DATABASE_URL."""

from alembic import context
from sqlalchemy import NullPool, create_engine, text

import server.side_tables
import server.tables  # noqa: F401  # declares them
from server.columns import Table
from server.settings import DatabaseSettings, load

_LOCK = 7_281_604_211  # any number that no other program takes: migrations wait for each other


def run() -> None:
    url = context.config.attributes.get("url") or load(DatabaseSettings).database_url
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=Table.metadata)
        with context.begin_transaction():
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            context.run_migrations()
            if check := context.config.attributes.get("check"):
                check(connection)


run()
