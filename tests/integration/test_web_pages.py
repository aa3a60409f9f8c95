"""The page in a real browser, on the real app and a real Postgres."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, BrowserContext, Page, expect

from server.main import create_app
from tests.support import browsing
from tests.support.finished import federated_and_alone
from tests.support.scripted import DEAD_REDIS, World, make_settings, make_world, offer
from tests.support.serving import served

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(browsing.CHROMIUM is None, reason="needs chromium (apt install chromium)"),
]
NAMED = "<img src=x onerror=alert(1)> \"quoted\" 'and' {{ 7 * 7 }}"
FIGURES = ("timeline", "traffic", "losses", "replacements")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing.chromium() as found:
        yield found


@dataclass
class Site:
    """The app with two clients, and a reader who has a viewer's key."""

    world: World
    url: str
    context: BrowserContext
    wrong: list[str] = field(default_factory=list)

    def page(self) -> Page:
        """Another tab; what goes wrong in it is noted."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("dialog", lambda dialog: self.wrong.append(f"a dialog: {dialog.message}"))
        page.on(
            "console", lambda said: self.wrong.append(said.text) if said.type == "error" else None
        )
        return page

    def signed_in(self, where: str = "/") -> Page:
        """A tab in which the reader has signed in and come to a page."""
        page = self.page()
        page.goto(self.url + where)
        page.get_by_label("Key").fill(self.world.viewer.key)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(self.url + where)
        return page

    def round(self, job: str, value: float = 1.0) -> None:
        """Both clients deliver, and the round is averaged."""
        self.world.train("c1", value)
        self.world.train("c2", value + 4)
        self.world.advance(job)


def app_of(world: World) -> FastAPI:
    assert isinstance(world.http.app, FastAPI)
    return world.http.app


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    made = make_world(make_settings(database_url, tmp_path / "artifacts", DEAD_REDIS))
    made.add_client("c1", offer())
    made.add_client("c2", offer(train={"general": 30}))
    yield made
    made.hang_up()


@pytest.fixture
def site(world: World, browser: Browser) -> Iterator[Site]:
    with served(app_of(world)) as url, browser.new_context() as context:
        found = Site(world, url, context)
        yield found
        assert found.wrong == []


def test_who_is_not_signed_in_is_asked_for_a_key_and_then_led_on(site: Site) -> None:
    job = site.world.launch()
    page = site.signed_in(f"/jobs/{job}")
    expect(page).to_have_title("scripted - Tapestry")
    page.get_by_role("button", name="Sign out").click()
    page.goto(site.url)
    expect(page).to_have_title("Sign in - Tapestry")


def test_a_link_with_a_key_signs_in_and_leaves_no_key_behind(site: Site) -> None:
    page = site.page()
    page.goto(f"{site.url}/signin#{site.world.viewer.key}")
    expect(page).to_have_title("Jobs - Tapestry")
    assert page.url == f"{site.url}/"


def test_a_job_moves_on_before_the_reader_s_eyes(site: Site) -> None:
    job = site.world.launch()
    page = site.signed_in(f"/jobs/{job}")
    expect(page.locator("#now-title")).to_contain_text("plan")
    page.evaluate("window.stays = true")
    site.world.plan(job)
    expect(page.locator("#now-title")).to_contain_text("train 1")
    expect(page.locator("#members")).to_contain_text("has not claimed the assignment")
    site.round(job)
    expect(page.locator("#now-title")).to_contain_text("train 2")
    expect(page.locator("#standing")).to_contain_text("Round 2 of 2")
    expect(page.locator("#events")).to_contain_text("round.published")
    expect(page.locator("#ledger")).to_contain_text("c1 10")
    assert page.evaluate("window.stays")  # it was never loaded anew


def test_the_list_moves_too_and_keeps_what_the_reader_chose(site: Site) -> None:
    job = site.world.launch()
    page = site.signed_in()
    page.get_by_label("Compare scripted").check()
    site.world.operator.ok("POST", f"/v1/jobs/{job}/pause")
    expect(page.locator("#jobs .state")).to_have_text("paused")
    expect(page.get_by_label("Compare scripted")).to_be_checked()
    page.get_by_role("button", name="Compare the chosen").click()
    expect(page.locator("#compared")).to_contain_text("scripted")


def test_every_figure_is_drawn_from_the_api(site: Site) -> None:
    job = site.world.launch()
    site.world.plan(job)
    site.round(job)
    page = site.signed_in(f"/jobs/{job}")
    for name in FIGURES:
        figure = page.locator(f'figure[data-chart="{name}"]')
        figure.scroll_into_view_if_needed()
        expect(figure.locator(".js-plotly-plot .main-svg").first).to_be_visible()
    losses = page.locator('figure[data-chart="losses"]')
    losses.get_by_label("Client").select_option("c2")
    expect(losses.locator(".legendtext").first).to_have_text("digits, engaged")
    replaced = page.locator('figure[data-chart="replacements"] .nsewdrag').first
    replaced.hover()
    expect(page.locator(".hoverlayer .hovertext").first).to_contain_text("first participation")
    drawn = page.evaluate(
        "document.querySelector('figure[data-chart=replacements] .plot').data[0].z"
    )
    assert drawn == [[2], [2]]


def test_names_are_shown_and_never_run(site: Site) -> None:
    job = site.world.launch(name=NAMED)
    site.world.plan(job)
    site.round(job)
    page = site.signed_in()
    expect(page.get_by_role("link", name=NAMED)).to_be_visible()
    for path in ("", "/benefits", "/versions/1"):
        page.goto(f"{site.url}/jobs/{job}{path}")
        expect(page.get_by_role("link", name=NAMED, exact=True)).to_be_visible()
    page.goto(f"{site.url}/?name=%3Cscript%3Ealert(1)%3C/script%3E")
    expect(page.get_by_label("Name")).to_have_value("<script>alert(1)</script>")


def test_two_readers_and_a_reload_see_the_same(site: Site) -> None:
    job = site.world.launch()
    first = site.signed_in(f"/jobs/{job}")
    second = site.page()
    second.goto(f"{site.url}/jobs/{job}")
    site.world.plan(job)
    for page in (first, second):
        expect(page.locator("#now-title")).to_contain_text("train 1")
    first.reload()
    expect(first.locator("#now-title")).to_contain_text("train 1")
    assert first.locator("#members").inner_text() == second.locator("#members").inner_text()


def test_a_server_that_is_away_is_told_of_and_found_again(world: World, browser: Browser) -> None:
    job = world.launch()
    with browser.new_context() as context:
        with served(app_of(world)) as url:
            site = Site(world, url, context)
            page = site.signed_in(f"/jobs/{job}")
            expect(page.locator("#now-title")).to_contain_text("plan")
        page.evaluate("document.dispatchEvent(new Event('tapestry:renew'))")
        expect(page.locator("#away")).to_be_visible()
        again = create_app(world.context.settings)
        with served(again, int(url.rpartition(":")[2])):
            world.plan(job)
            page.evaluate("document.dispatchEvent(new Event('tapestry:renew'))")
            expect(page.locator("#now-title")).to_contain_text("train 1")
            expect(page.locator("#away")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_on_a_phone_in_either_light(
    site: Site, browser: Browser, scheme: str
) -> None:
    job = site.world.launch()
    site.world.plan(job)
    with browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": 390, "height": 800},
        timezone_id="Pacific/Auckland",
    ) as context:
        page = Site(site.world, site.url, context, site.wrong).signed_in(f"/jobs/{job}")
        expect(page.locator("#members")).to_be_visible()
        wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wider) <= 0
        ink, paper = (
            [int(part) for part in re.findall(r"\d+", page.evaluate(script))[:3]]
            for script in (
                "getComputedStyle(document.body).color",
                "getComputedStyle(document.body).backgroundColor",
            )
        )
        assert (sum(ink) > sum(paper)) is (scheme == "dark")
        opened = page.locator("#standing time").first
        there = page.evaluate(
            "each => new Date(each).toLocaleString()", opened.get_attribute("datetime")
        )
        expect(opened).to_have_text(there)


def test_the_keyboard_alone_reaches_everything(site: Site) -> None:
    site.world.launch()
    page = site.signed_in()
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("To the content")
    reached = set()
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.textContent.trim().slice(0, 20)"))
    assert {"Jobs", "Clients", "Sign out", "Show", "scripted", "Compare the chosen"} <= reached
    unnamed = page.evaluate(
        "[...document.querySelectorAll('input:not([type=hidden]), select, button')]"
        ".filter(each => !each.labels?.length && !each.ariaLabel && !each.textContent.trim())"
        ".map(each => each.outerHTML)"
    )
    assert unnamed == []


def test_the_report_is_read_without_any_server(
    world: World, browser: Browser, tmp_path: Path
) -> None:
    together, _ = federated_and_alone(world)
    answer = world.viewer("GET", f"/jobs/{together}/report.html")
    kept = tmp_path / "report.html"
    kept.write_text(answer.text, encoding="utf-8")
    with browser.new_context(offline=True) as context:
        site = Site(world, "", context)
        page = site.page()
        page.goto(kept.as_uri())
        expect(page.locator(".verdict")).to_contain_text("it hurt c2 on digits")
        for name in ("traffic", "losses", "replacements"):
            figure = page.locator(f'figure[data-chart="{name}"]')
            figure.scroll_into_view_if_needed()
            expect(figure.locator(".js-plotly-plot .main-svg").first).to_be_visible()
        assert site.wrong == []
