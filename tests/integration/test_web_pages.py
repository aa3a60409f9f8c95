"""The page in a real browser, on the real app and a real Postgres."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support import browsing
from tests.support.scripted import DEAD_REDIS, World, make_settings, make_world, offer

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(browsing.CHROMIUM is None, reason="needs chromium (apt install chromium)"),
]
NAMED = "<img src=x onerror=alert(1)> \"quoted\" 'and' 🧵 {{ 7 * 7 }}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing.chromium() as found:
        yield found


@dataclass
class Site:
    world: World
    url: str
    page: Page

    def sign_in(self, where: str = "/") -> None:
        self.page.goto(self.url + where)
        self.page.get_by_label("Key").fill(self.world.viewer.key)
        self.page.get_by_role("button", name="Sign in").click()


@pytest.fixture
def site(database_url: str, tmp_path: Path, browser: Browser) -> Iterator[Site]:
    world = make_world(make_settings(database_url, tmp_path / "artifacts", DEAD_REDIS))
    world.add_client("c1", offer())
    world.add_client("c2", offer(train={"general": 30}))
    with browsing.served(world.http.app) as url:  # type: ignore[arg-type]
        context = browser.new_context()
        page = context.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("dialog", lambda dialog: wrong.append(f"a dialog: {dialog.message}"))
        yield Site(world, url, page)
        context.close()
        assert wrong == []


def test_who_is_not_signed_in_is_asked_for_a_key_and_then_led_on(site: Site) -> None:
    job = site.world.launch()
    site.page.goto(f"{site.url}/jobs/{job}")
    expect(site.page).to_have_title("Sign in - Tapestry")
    site.page.get_by_label("Key").fill(site.world.viewer.key)
    site.page.get_by_role("button", name="Sign in").click()
    expect(site.page).to_have_title("scripted - Tapestry")
    site.page.get_by_role("button", name="Sign out").click()
    site.page.goto(site.url)
    expect(site.page).to_have_title("Sign in - Tapestry")
