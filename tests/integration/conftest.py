"""A reader of the page in a real browser, on the real app and a real Postgres."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.support import browsing
from tests.support.scripted import DEAD_REDIS, World, make_settings, make_world, offer
from tests.support.serving import served
from tests.support.site import Site, app_of

EXPECTED_WITHIN_MS = 20_000  # two tabs that read the figures' library on a busy machine are slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless browser."""
    expect.set_options(timeout=EXPECTED_WITHIN_MS)
    with browsing.chromium() as found:
        yield found


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """The app with two clients, c1 with 10 samples and c2 with 30; nobody serves it."""
    made = make_world(make_settings(database_url, tmp_path / "artifacts", DEAD_REDIS))
    made.add_client("c1", offer())
    made.add_client("c2", offer(train={"general": 30}))
    yield made
    made.hang_up()


@pytest.fixture
def site(world: World, browser: Browser) -> Iterator[Site]:
    """The app at an address, and a reader; nothing may go wrong in any of the tabs."""
    with served(app_of(world)) as url, browser.new_context() as context:
        found = Site(world, url, context)
        yield found
        assert found.wrong == []
