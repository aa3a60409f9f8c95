"""The page in a real browser, on the real app and a real Postgres."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.support import browsing
from tests.support.finished import federated_and_alone
from tests.support.scripted import World, job_spec
from tests.support.site import Site

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(browsing.CHROMIUM is None, reason="needs chromium (apt install chromium)"),
]
NAMED = "<img src=x onerror=alert(1)> \"quoted\" 'and' {{ 7 * 7 }}"


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
        site.world.train("c1", 1.0)
        waits = page.locator("#standing .why")
        expect(waits).to_contain_text("waits for c2 until")
        expect(waits).not_to_contain_text("UTC")
        until = waits.locator("time")
        assert until.inner_text() == page.evaluate(
            "each => new Date(each).toLocaleString()", until.get_attribute("datetime")
        )


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
        verdict = page.locator(".verdict")
        expect(verdict).to_contain_text("it hurt c2 on digits")
        sign = verdict.evaluate("each => getComputedStyle(each, '::before').content")
        assert "Helped and hurt" in sign
        for name in ("traffic", "losses", "replacements"):
            figure = page.locator(f'figure[data-chart="{name}"]')
            figure.scroll_into_view_if_needed()
            expect(figure.locator(".js-plotly-plot .main-svg").first).to_be_visible()
            figure.locator("summary").press("Enter")
            expect(figure.locator("details tbody tr").first).to_be_visible()
        assert site.wrong == []


def test_further_pages_of_a_list_hold_to_what_was_asked(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.web.pages._A_PAGE", 2)
    for name in ("b", "a", "d", "c"):
        site.world.launch(name=f"of two, {name}")
    of_one = job_spec(["c2"], name="of one", rounds={"count": 2, "quorum": 1})
    site.world.operator.ok("POST", "/v1/jobs", json=of_one)
    page = site.signed_in("/?client=c1&sort=name")
    names = page.locator("#jobs tbody th > a")
    expect(names).to_have_text(["of two, a", "of two, b"])
    page.get_by_role("link", name="More jobs").click()
    expect(names).to_have_text(["of two, c", "of two, d"])
    page.get_by_label("Name").fill("of")
    page.get_by_role("button", name="Show").click()
    expect(names).to_have_text(["of two, a", "of two, b"])
    expect(page.get_by_label("Client", exact=True)).to_have_value("c1")


def test_a_job_s_own_link_leads_to_what_it_is_compared_with(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.web.pages._A_PAGE", 2)
    first = site.world.launch(name="the first")
    for name in ("second", "third"):
        site.world.launch(name=f"the {name}")
    page = site.signed_in(f"/jobs/{first}")
    page.get_by_role("link", name="Compare").click()
    expect(page.get_by_label("the first", exact=True)).to_be_checked()
    page.get_by_role("link", name="Older jobs").click()
    expect(page.get_by_label("Compare the first")).to_be_checked()
    page.go_back()
    page.get_by_label("Compare the third").check()
    page.get_by_role("button", name="Compare the chosen").click()
    heads = page.locator("#compared thead th a")
    expect(heads).to_have_text(["the first", "the third"])
    page.get_by_role("link", name="Choose others").click()
    expect(page.get_by_label("Compare the third")).to_be_checked()


def test_a_job_s_events_are_its_own_and_followed_to_the_first(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.web.pages._NEWEST_EVENTS", 3)
    monkeypatch.setattr("server.web.pages._EVENTS", 3)
    job = site.world.launch()
    for _ in range(3):
        site.world.launch()
    site.world.operator.ok("POST", f"/v1/jobs/{job}/pause")
    every = [each["id"] for each in site.world.viewer.ok("GET", f"/v1/jobs/{job}/events")["items"]]
    page = site.signed_in(f"/jobs/{job}")
    expect(page.locator("#events li")).to_have_count(3)
    page.get_by_role("link", name="all of them").click()
    found: list[int] = []
    while True:
        lines = page.locator("#events li").all()
        found += [int(line.get_attribute("data-id") or 0) for line in lines]
        older = page.get_by_role("link", name="Older events")
        if not older.count():
            break
        older.click()
        expect(page.locator("#events li").first).not_to_have_attribute("data-id", str(found[-3]))
    assert found == every[::-1]
    assert len(found) > 3
    as_json = page.get_by_role("link", name="JSON").get_attribute("href")
    listed = site.world.viewer.ok("GET", str(as_json))["items"]
    assert [each["id"] for each in listed] == found[-len(listed) :]
    assert len(listed) == len(lines)
