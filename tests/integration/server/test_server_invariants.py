"""The checker of invariants notices what it is there for."""

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


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("DELETE FROM contributions WHERE client_id = 'c1'", "I3 .* is lost"),
        ("UPDATE rounds SET number = 7 WHERE state = 'open'", "I4 job .* has rounds"),
        ("UPDATE contributions SET weight = 2 * weight WHERE client_id = 'c1'", "I6 version 1"),
        ("UPDATE jobs SET due_at = now() - interval '1 h'", "I7 Job"),
        ("UPDATE job_clients SET state_digest = 'x'", "I8 c1"),
        ("UPDATE assignments SET state = 'failed' WHERE state = 'queued'", "I9"),
    ],
)
def test_a_broken_row_is_noticed(trained: World, statement: str, broken: str) -> None:
    trained.execute(statement)
    with pytest.raises(AssertionError, match=broken):
        check(trained)


def test_a_broken_file_is_noticed(trained: World) -> None:
    path = trained.context.store.path(sha(component_bytes(4, 4, 4)))
    path.write_bytes(component_bytes(4, 4, 5))
    with pytest.raises(AssertionError, match=r"I5 .* is damaged"):
        check(trained)
    path.unlink()
    with pytest.raises(AssertionError, match=r"I5 .* is not there"):
        check(trained)
