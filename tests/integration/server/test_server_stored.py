"""A version that cannot read what an earlier one stored says so before it serves anything."""

from typing import Any

import pytest
from sqlalchemy import create_engine, text

from server import stored
from server.migrate import downgrade, main, upgrade
from tests.support.scripted import World

pytestmark = pytest.mark.integration

_WRONG = '{"tasks": 7}'
_TOO_MANY = "jsonb_set(spec::jsonb, '{rounds,count}', '99999999')::json"


def address(world: World) -> str:
    return world.context.settings.database_url


def test_what_this_version_wrote_it_reads(pair: World) -> None:
    pair.launch()
    upgrade(address(pair), check=stored.check)


def test_a_job_and_offers_that_cannot_be_read_are_named(
    unchecked_pair: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = unchecked_pair
    job = world.launch()
    for table in ("job_clients", "clients"):
        world.execute(f"UPDATE {table} SET offer = '{_WRONG}'")  # noqa: S608  # of this file
    world.execute(f"UPDATE jobs SET spec = {_TOO_MANY}")  # noqa: S608  # of this file
    monkeypatch.setenv("TAPESTRY_DATABASE_URL", address(world))
    with pytest.raises(SystemExit) as refused:
        main()
    remedy, spec, *offers = str(refused.value).splitlines()
    assert "go on with the version that you had" in remedy
    assert spec.startswith(f"the spec of job {job}: rounds.count: ")
    assert "99999999" in spec
    assert [line.partition(": tasks: ")[0] for line in offers] == [
        "the offer of client c1",
        "the offer of client c2",
        f"the offer to job {job} of client c1",
        f"the offer to job {job} of client c2",
    ]


def test_the_first_ten_are_named(unchecked: World) -> None:
    for number in range(12):
        unchecked.add_client(f"c{number}")
    unchecked.execute("UPDATE clients SET offer = '{}'")
    engine = create_engine(address(unchecked))
    with engine.connect() as connection, pytest.raises(stored.UnreadableError) as refused:
        stored.check(connection)
    engine.dispose()
    lines = str(refused.value).splitlines()
    assert (len(lines), lines[-1]) == (12, "and more")


def test_a_migration_that_ends_so_has_changed_nothing(databases: Any) -> None:
    url = databases.create(migrated=False)
    upgrade(url)
    downgrade(url, "0011")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO clients (id, description, offer) VALUES ('c1', '', '[]')")
        )
    with pytest.raises(stored.UnreadableError, match="the offer of client c1"):
        upgrade(url, check=stored.check)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "0011"
    engine.dispose()
    databases.drop(url)
