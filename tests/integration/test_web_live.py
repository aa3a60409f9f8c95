"""What moves before a reader's eyes, whatever becomes of the stream of events."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from server.main import create_app
from tests.support import browsing
from tests.support.finished import federated_and_alone
from tests.support.scripted import World
from tests.support.serving import served
from tests.support.site import Site, app_of

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(browsing.CHROMIUM is None, reason="needs chromium (apt install chromium)"),
]
STREAMS = "**/events?after=*"
POLLED_MS = 16_000  # by then the page has asked by itself


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


# Stands for the stream of events and counts how often the page is asked for.
TOLD = """
window.EventSource = class { constructor() { window.stream = this; } };
window.asked = window.renewed = 0;
const ask = window.fetch;
window.fetch = (...what) => { if (what[0] === location.href) window.asked++; return ask(...what); };
document.addEventListener("tapestry:renewed", () => window.renewed++);
"""
TELL = """window.stream.onmessage({lastEventId: "1", data: JSON.stringify(
  {id: 0, at: new Date().toISOString(), kind: "x", data: {}})})"""


def test_the_first_event_asks_at_once_and_many_ask_now_and_then(site: Site) -> None:
    job = site.world.launch()
    page = site.signed_in()
    page.add_init_script(TOLD)
    page.clock.install()
    page.goto(f"{site.url}/jobs/{job}")
    page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 1)

    def asked(after_ms: int) -> int:
        page.evaluate(TELL)
        page.clock.run_for(after_ms)
        while page.evaluate("window.asked > window.renewed"):
            time.sleep(0.01)
        found: int = page.evaluate("window.asked")
        return found

    assert [asked(40), asked(20)] == [0, 1]
    assert [asked(100), asked(100), asked(50), asked(50)] == [1, 1, 1, 2]
    page.clock.run_for(1_000)
    assert [asked(60), asked(200)] == [3, 3]


def test_the_list_moves_too_and_keeps_what_the_reader_chose(site: Site) -> None:
    job = site.world.launch()
    page = site.signed_in()
    page.get_by_label("Compare scripted").check()
    site.world.operator.ok("POST", f"/v1/jobs/{job}/pause")
    expect(page.locator("#jobs .state")).to_have_text("paused")
    expect(page.get_by_label("Compare scripted")).to_be_checked()
    page.get_by_role("button", name="Compare the chosen").click()
    expect(page.locator("#compared")).to_contain_text("scripted")


def test_a_list_that_was_opened_empty_shows_the_first_job(site: Site) -> None:
    page = site.signed_in()
    expect(page.locator("#list")).to_contain_text("There is no such job")
    site.world.launch()
    expect(page.locator("#jobs")).to_contain_text("scripted")


@contextmanager
def away_and_back(world: World, browser: Browser, where: str) -> Iterator[tuple[Page, Site]]:
    """A page that was opened before its server ended; the block has another at the same address."""
    with browser.new_context() as context:
        with served(app_of(world), timeout_graceful_shutdown=1) as url:
            site = Site(world, url, context)
            page = site.signed_in(where)
            expect(page.locator("#now-title")).to_contain_text("plan")
            page.clock.install()
        site.renew(page)
        expect(page.locator("#away")).to_be_visible()
        again = create_app(world.context.settings)
        with served(again, int(url.rpartition(":")[2]), timeout_graceful_shutdown=1):
            yield page, site


def test_a_server_that_is_away_is_told_of_and_found_again(world: World, browser: Browser) -> None:
    job = world.launch()
    with away_and_back(world, browser, f"/jobs/{job}") as (page, site):
        world.plan(job)
        site.renew(page)
        expect(page.locator("#now-title")).to_contain_text("train 1")
        expect(page.locator("#away")).to_be_hidden()


def test_a_stream_that_a_proxy_refused_is_opened_again_behind_what_was_seen(
    world: World, browser: Browser
) -> None:
    job = world.launch()
    refused: list[str] = []

    def refuse(route: Route) -> None:
        refused.append(route.request.url)
        route.fulfill(status=503, body="the API is away")

    opened: list[str] = []

    def let_pass(route: Route) -> None:
        opened.append(route.request.url)
        route.continue_()

    with away_and_back(world, browser, f"/jobs/{job}") as (page, site):
        page.route(STREAMS, refuse)
        # Time goes as it is told to, or a slow machine's pauses would double meanwhile.
        page.clock.pause_at(page.evaluate("Date.now() + 1000"))
        for n in (1, 2):  # the pauses are 1 s, 2 s, 4 s
            while len(refused) < n:
                page.clock.run_for(500)
        world.plan(job)
        page.unroute(STREAMS)
        page.route(STREAMS, let_pass)
        while not opened:
            page.clock.run_for(500)
        assert opened[0] == refused[-1]  # nothing was seen meanwhile
        page.clock.resume()
        site.round(job)
        expect(page.locator("#events")).to_contain_text("round.published")
        expect(page.locator("#now-title")).to_contain_text("train 2")
        expect(page.locator("#ledger")).to_contain_text("c1 10")
        assert page.evaluate("document.querySelector('#away').hidden")


def test_where_a_proxy_holds_the_stream_back_all_is_renewed_nevertheless(site: Site) -> None:
    job = site.world.launch()
    site.context.clock.install()
    page = site.signed_in()
    nothing = {"content_type": "text/event-stream", "body": "retry: 600000\n\n"}
    page.route(STREAMS, lambda route: route.fulfill(**nothing))
    page.goto(f"{site.url}/jobs/{job}")
    expect(page.locator("#now-title")).to_contain_text("plan")
    losses = page.locator('figure[data-chart="losses"]')
    losses.scroll_into_view_if_needed()
    expect(losses).to_contain_text("Nothing yet")
    site.world.plan(job)
    site.round(job)
    assert page.locator("#ledger").count() == 0
    page.clock.fast_forward(POLLED_MS)
    expect(page.locator("#now-title")).to_contain_text("train 2")
    expect(page.locator("#events")).to_contain_text("round.published")
    expect(page.locator("#ledger")).to_contain_text("c1 10")
    expect(losses.locator(".main-svg").first).to_be_visible()


def test_a_part_that_did_not_come_is_asked_for_again(world: World, browser: Browser) -> None:
    job = world.trained()
    world.advance(job)
    with served(app_of(world)) as url, browser.new_context() as context:
        site = Site(world, url, context)
        page = site.signed_in("/clients")
        page.route("**/ledger", lambda route: route.fulfill(status=503))
        with page.expect_response("**/ledger"):
            page.goto(f"{url}/jobs/{job}")
        page.unroute("**/ledger")
        expect(page.locator("[data-part$=ledger]")).not_to_have_attribute("data-mark", "1")
        site.renew(page)
        expect(page.locator("#ledger")).to_contain_text("c1 10")
        page.close()


def test_what_an_ended_job_s_page_did_not_get_is_asked_for_again(
    world: World, browser: Browser
) -> None:
    job, _ = federated_and_alone(world)
    with served(app_of(world)) as url, browser.new_context() as context:
        context.clock.install()
        page = Site(world, url, context).signed_in("/clients")
        held_back = ("**/benefits", "**/traffic?*")
        for address in held_back:
            page.route(address, lambda route: route.fulfill(status=503))
        page.goto(f"{url}/jobs/{job}")
        traffic = page.locator('figure[data-chart="traffic"]')
        traffic.scroll_into_view_if_needed()
        expect(traffic).to_contain_text("the server said 503")
        assert page.locator("#benefits").count() == 0
        for address in held_back:
            page.unroute(address)
        page.clock.fast_forward(POLLED_MS)
        expect(traffic.locator(".main-svg").first).to_be_visible()
        expect(page.locator(".verdict")).to_contain_text("Federation helped 1 of 2")
        page.close()


def test_a_server_that_hangs_is_told_of_like_one_that_is_away(site: Site) -> None:
    page = site.signed_in(f"/jobs/{site.world.launch()}")
    expect(page.locator("#now-title")).to_contain_text("plan")
    page.evaluate(
        "AbortSignal.timeout = (own => () => own.call(AbortSignal, 100))(AbortSignal.timeout)"
    )
    page.route("**/jobs/*", lambda _: None)
    site.renew(page)
    expect(page.locator("#away")).to_be_visible()
    page.unroute("**/jobs/*")
    site.renew(page)
    expect(page.locator("#away")).to_be_hidden()


def test_clients_come_and_fall_silent_before_the_reader_s_eyes(site: Site) -> None:
    site.context.clock.install()
    page = site.signed_in("/clients")
    expect(page.locator("#clients .alive.there")).to_have_count(2)
    site.world.add_client("c3")
    page.clock.fast_forward(POLLED_MS)
    expect(page.locator("#clients")).to_contain_text("c3")
    page.clock.fast_forward(60_000)
    expect(page.locator("#clients .alive").first).to_have_text("silent")
    page.goto(f"{site.url}/clients/c3")
    expect(page.locator("#standing")).to_contain_text("no worker has spoken for it yet")
    site.world.clients["c3"].claim()
    page.clock.fast_forward(POLLED_MS)
    expect(page.locator("#standing .alive")).to_have_count(1)


def test_a_renewal_keeps_the_reader_s_place(site: Site) -> None:
    job = site.world.launch()
    page = site.signed_in(f"/jobs/{job}")
    site.world.plan(job)
    page.set_viewport_size({"width": 390, "height": 800})
    page.locator("#members a", has_text="c2").focus()
    page.locator("#now .wide").evaluate("each => { each.scrollLeft = 90; }")
    site.world.train("c1", 1.0)
    expect(page.locator("#members .state").first).to_have_text("accepted")
    assert page.evaluate("document.activeElement.textContent") == "c2"
    assert page.locator("#now .wide").evaluate("each => each.scrollLeft") == 90
