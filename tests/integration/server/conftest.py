"""The server's tests run its real app on a real Postgres; Redis is dead unless a test says so."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import invariants
from tests.support.scripted import DEAD_REDIS, World, make_settings, make_world, offer


@pytest.fixture
def unchecked(database_url: str, tmp_path: Path) -> Iterator[World]:
    """The app with an empty database, for tests that break invariants behind the server's back."""
    world = make_world(make_settings(database_url, tmp_path / "artifacts", DEAD_REDIS))
    with world.http:
        yield world


@pytest.fixture
def world(unchecked: World) -> Iterator[World]:
    """The app with an empty database; in the end every invariant must hold."""
    yield unchecked
    invariants.check(unchecked.context.sessions, unchecked.context.store)


@pytest.fixture
def pair(world: World) -> World:
    """The app with two clients, c1 with 10 samples and c2 with 30."""
    return add_pair(world)


@pytest.fixture
def unchecked_pair(unchecked: World) -> World:
    """The same, for tests that break invariants behind the server's back."""
    return add_pair(unchecked)


def add_pair(world: World) -> World:
    """Register c1 and c2."""
    world.add_client("c1", offer())
    world.add_client("c2", offer(train={"general": 30}))
    return world


@pytest.fixture
def two_rounds(pair: World) -> str:
    """A job whose two rounds are done: all components became 1, then 2."""
    job = pair.launch()
    pair.plan(job)
    for value in (1.0, 2.0):
        pair.train("c1", value)
        pair.train("c2", value)
        pair.advance(job)
    assert pair.job(job)["state"] == "personalizing"
    pair.operator.ok("POST", f"/v1/jobs/{job}/cancel")
    pair.advance(job)
    return job
