"""The figures in a real browser: drawn, followed, and told in numbers."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support import browsing
from tests.support.site import Site

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(browsing.CHROMIUM is None, reason="needs chromium (apt install chromium)"),
]
FIGURES = ("timeline", "traffic", "losses", "replacements")


def figure(page: Page, name: str) -> Locator:
    """The figure, drawn."""
    found = page.locator(f'figure[data-chart="{name}"]')
    found.scroll_into_view_if_needed()
    expect(found.locator(".js-plotly-plot .main-svg").first).to_be_visible()
    return found


def test_every_figure_is_drawn_from_the_api(site: Site) -> None:
    job = site.world.launch()
    site.world.plan(job)
    site.round(job)
    page = site.signed_in(f"/jobs/{job}")
    for name in FIGURES:
        figure(page, name)
    losses = page.locator('figure[data-chart="losses"]')
    expect(losses.locator("figcaption")).to_contain_text("for its own. Client")
    losses.get_by_label("Client").select_option("c2")
    expect(losses.locator(".legendtext").first).to_have_text("digits, engaged")
    replaced = page.locator('figure[data-chart="replacements"] .nsewdrag').first
    replaced.hover()
    expect(page.locator(".hoverlayer .hovertext").first).to_contain_text("first participation")
    drawn = page.evaluate(
        "document.querySelector('figure[data-chart=replacements] .plot').data[0].z"
    )
    assert drawn == [[2], [2]]
    axis = page.evaluate(
        "document.querySelector('figure[data-chart=traffic] .plot')._fullLayout.yaxis.type"
    )
    assert axis == "linear"


def test_a_figure_asks_for_what_it_lacks_and_clients_that_come_later_can_be_chosen(
    site: Site,
) -> None:
    job = site.world.launch()
    site.world.plan(job)
    site.world.train("c1", 1.0)
    page = site.signed_in(f"/jobs/{job}")
    losses = figure(page, "losses")
    choice = losses.get_by_label("Client")
    expect(choice.locator("option")).to_have_text(["all, mean", "c1"])
    choice.select_option("c1")
    site.world.train("c2", 5.0)
    with page.expect_request("**/losses?*") as asked:
        site.world.advance(job)
    assert "after_round=0" in asked.value.url
    expect(choice.locator("option")).to_have_text(["all, mean", "c1", "c2"])
    expect(choice).to_have_value("c1")
    site.world.train("c1", 1.0)
    site.world.train("c2", 5.0)
    with page.expect_request("**/losses?*") as asked:
        site.world.advance(job)
    assert "after_round=0" in asked.value.url
    choice.select_option("")
    losses.locator("summary").click()
    expect(losses.locator("tbody tr")).to_have_text(["2digits0.50000.4000", "1digits0.50000.4000"])
    with page.expect_request("**/losses?*") as asked:
        choice.select_option("c2")
    assert "after_round=1" in asked.value.url
    drawn = "document.querySelector('figure[data-chart=losses] .plot').data[0].x"
    assert page.evaluate(drawn) == [1, 2]


def test_the_timeline_follows_the_job_and_turns_back(site: Site) -> None:
    job = site.world.launch(rounds={"count": 5})
    site.world.plan(job)
    page = site.signed_in(f"/jobs/{job}")
    timeline = page.locator('figure[data-chart="timeline"]')
    timeline.evaluate("each => { each.dataset.last = 2; }")
    for _ in range(3):
        site.round(job)
    expect(page.locator("#now-title")).to_contain_text("train 4")
    figure(page, "timeline")
    turn = timeline.locator(".turn")
    expect(turn).to_contain_text("Rounds 3 to 4")
    site.round(job)
    expect(turn).to_contain_text("Rounds 4 to 5")
    turn.get_by_role("button", name="Earlier rounds").press("Enter")
    expect(turn).to_contain_text("Rounds 2 to 3")
    timeline.locator("summary").press("Enter")
    expect(timeline.locator("tbody tr th")).to_have_text(["3", "3", "2", "2"])
    assert "after_round=1" in str(timeline.get_by_role("link", name="JSON").get_attribute("href"))
    site.round(job)
    expect(page.locator("#events")).to_contain_text("job.personalizing")
    expect(turn).to_contain_text("Rounds 2 to 3")
    turn.get_by_role("button", name="Later rounds").click()
    expect(turn).to_contain_text("Rounds 4 to 5")


def test_work_lasts_by_the_server_s_clock_whatever_the_reader_s(site: Site) -> None:
    job = site.world.launch()
    site.world.plan(job)
    site.world.clients["c1"].claim()
    page = site.signed_in("/clients")
    page.clock.set_fixed_time(datetime.now(UTC) - timedelta(minutes=10))
    page.goto(f"{site.url}/jobs/{job}")
    timeline = figure(page, "timeline")
    timeline.locator("summary").click()
    working = timeline.locator("tbody tr", has_text="working")
    assert 0 <= float(working.locator("td").nth(3).inner_text()) < 600


def test_a_figure_s_numbers_are_reached_with_the_keyboard_alone(site: Site) -> None:
    job = site.world.trained()
    site.world.advance(job)
    page = site.signed_in(f"/jobs/{job}")
    expected = {
        "timeline": ("Attempt", "accepted"),
        "traffic": ("Bytes up", "7"),
        "losses": ("Engaged", "0.5000"),
        "replacements": ("Margin", "first participation"),
    }
    for name, (head, cell) in expected.items():
        shown = figure(page, name)
        expect(shown.locator(".plot")).to_have_attribute("role", "img")
        shown.locator("summary").press("Enter")
        table = shown.get_by_role("table")
        expect(table.locator("thead")).to_contain_text(head)
        expect(table.locator("tbody tr").first).to_contain_text(cell)
        expect(table.locator("caption")).to_contain_text("the newest first")
        assert shown.locator("th:not([scope])").count() == 0
