"""`python -m server.migrate`: bring the database to the newest schema."""

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config

from server.database import DatabaseAwayError, reachable
from server.settings import DatabaseSettings, load

_MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"


def config_for(url: str) -> Config:
    """Alembic's configuration for that database."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["url"] = url
    return config


def upgrade(url: str, revision: str = "head") -> None:
    """Migrate the database at `url` up to `revision`; two at once wait for each other."""
    command.upgrade(config_for(url), revision)


def downgrade(url: str, revision: str) -> None:
    """Migrate the database at `url` down to `revision`."""
    command.downgrade(config_for(url), revision)


def main() -> None:
    """Migrate the database of TAPESTRY_DATABASE_URL."""
    settings = load(DatabaseSettings)
    try:
        with reachable(settings.database_url):
            upgrade(settings.database_url)
    except DatabaseAwayError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
