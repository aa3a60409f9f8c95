"""The checker of invariants notices what it is there for."""

from collections.abc import Iterator

import pytest

from tests.support import invariants
from tests.support.scripted import World, component_bytes, sha

pytestmark = pytest.mark.integration


@pytest.fixture
def trained(unchecked_pair: World) -> World:
    """One round is published, the second is open."""
    job = unchecked_pair.launch()
    unchecked_pair.plan(job)
    unchecked_pair.train("c1", 1.0)
    unchecked_pair.train("c2", 5.0)
    unchecked_pair.advance(job)
    check(unchecked_pair)
    return unchecked_pair


def check(world: World) -> None:
    invariants.check(world.context.sessions, world.context.store)


def behind_triggers(table: str, statement: str) -> str:
    return (
        f"ALTER TABLE {table} DISABLE TRIGGER USER; {statement}; "
        f"ALTER TABLE {table} ENABLE TRIGGER USER"
    )


@pytest.mark.parametrize(
    ("statements", "broken"),
    [
        ("UPDATE assignments SET attempt = 0 WHERE client_id = 'c1'", "I2 .* is in attempt 0"),
        ("UPDATE assignments SET attempt = 7 WHERE client_id = 'c1'", "I2 .* is in attempt 7"),
        ("DELETE FROM contributions WHERE client_id = 'c1'", "I3 .* is lost"),
        (
            "UPDATE contributions SET sha256 = (SELECT max(sha256) FROM version_components)",
            "I3 .* is not accepted",
        ),
        ("UPDATE rounds SET number = 7 WHERE state = 'open'", "I4 job .* has rounds"),
        (
            behind_triggers("rounds", "UPDATE rounds SET state = 'failed' WHERE number = 1"),
            "I4 job .* has versions",
        ),
        ("UPDATE contributions SET weight = 2 * weight WHERE client_id = 'c1'", "I6 version 1"),
        ("UPDATE jobs SET due_at = now() - interval '1 h'", "I7 Job"),
        ("UPDATE job_clients SET state_digest = 'x'", "I8 c1"),
        ("UPDATE assignments SET state = 'failed' WHERE state = 'queued'", "I9 .* is failed, but"),
        (
            behind_triggers("events", "DELETE FROM events WHERE kind = 'assignment.leased'"),
            "I9 .* went from queued to accepted",
        ),
    ],
)
def test_a_broken_row_is_noticed(trained: World, statements: str, broken: str) -> None:
    for statement in statements.split("; "):
        trained.execute(statement)
    with pytest.raises(AssertionError, match=broken):
        check(trained)


@pytest.fixture
def without_its_index(trained: World) -> Iterator[World]:
    """The database itself refuses two leases of one client; here it does not."""
    trained.plan(trained.launch())
    trained.execute("DROP INDEX assignments_one_lease")
    yield trained
    trained.execute("UPDATE assignments SET state = 'superseded' WHERE state = 'leased'")
    trained.execute(
        "CREATE UNIQUE INDEX assignments_one_lease ON assignments (client_id) "
        "WHERE state = 'leased'"
    )


def test_two_leases_of_one_client_are_noticed(without_its_index: World) -> None:
    without_its_index.execute("UPDATE assignments SET state = 'leased' WHERE state = 'queued'")
    with pytest.raises(AssertionError, match="I1 c1 holds more than one lease"):
        check(without_its_index)


def test_a_broken_file_is_noticed(trained: World) -> None:
    path = trained.context.store.path(sha(component_bytes(4, 4, 4)))
    path.write_bytes(component_bytes(4, 4, 5))
    with pytest.raises(AssertionError, match=r"I5 .* is damaged"):
        check(trained)
    path.unlink()
    with pytest.raises(AssertionError, match=r"I5 .* is not there"):
        check(trained)
