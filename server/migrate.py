"""`python -m server.migrate`: bring the database to the newest schema."""

import sys
from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from server import stored
from server.database import DatabaseAwayError, reachable
from server.settings import DatabaseSettings, load

_MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"


def config_for(url: str) -> Config:
    """Alembic's configuration for that database."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["url"] = url
    return config


def upgrade(
    url: str, revision: str = "head", check: Callable[[Connection], None] | None = None
) -> None:
    """Migrate the database at `url` up to `revision`; two at once wait for each other.

    `check` looks at the result; where it raises, the database is as it was.
    """
    config = config_for(url)
    config.attributes["check"] = check
    command.upgrade(config, revision)


def downgrade(url: str, revision: str) -> None:
    """Migrate the database at `url` down to `revision`."""
    command.downgrade(config_for(url), revision)


def main() -> None:
    """Migrate the database of TAPESTRY_DATABASE_URL."""
    settings = load(DatabaseSettings)
    try:
        with reachable(settings.database_url):
            upgrade(settings.database_url, check=stored.check)
    except (DatabaseAwayError, stored.UnreadableError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
