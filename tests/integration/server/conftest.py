"""The server's tests run its real app on a real Postgres; Redis is dead unless a test says so."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.scripted import DEAD_REDIS, World, make_settings, make_world, offer


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """The app with an empty database."""
    world = make_world(make_settings(database_url, tmp_path / "artifacts", DEAD_REDIS))
    with world.http:
        yield world


@pytest.fixture
def pair(world: World) -> World:
    """The app with two clients, c1 with 10 samples and c2 with 30."""
    world.add_client("c1", offer())
    world.add_client("c2", offer(train={"general": 30}))
    return world
