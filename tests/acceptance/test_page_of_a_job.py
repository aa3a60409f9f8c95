"""The page in a real browser while a real job runs on a whole stack.

With TAPESTRY_SCREENSHOTS=DIR it leaves pictures there: `make screenshots` makes those of the docs.
"""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from cli.stack.stack import Stack
from shared.job_spec import JobSpec
from tests.support import browsing, federation

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.timeout(600),
    pytest.mark.skipif(browsing.CHROMIUM is None, reason="needs chromium (apt install chromium)"),
]
ENDS_WITHIN_MS = 240_000
PICTURES = os.environ.get("TAPESTRY_SCREENSHOTS")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing.chromium() as found:
        yield found


@pytest.fixture
def page(stack: Stack, browser: Browser) -> Iterator[Page]:
    """A tab of somebody who has signed in."""
    with browser.new_context(viewport={"width": 1100, "height": 1100}) as context:
        page = context.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(f"{stack.url}/signin#{stack.admin_key_file.read_text().strip()}")
        expect(page).to_have_title("Jobs - Tapestry")
        yield page
        assert wrong == []


def submitted(stack: Stack, spec: JobSpec) -> str:
    with stack.client() as api:
        return str(api.submit(spec, str(uuid.uuid4())).id)


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png")


def drawn(page: Page, *names: str) -> None:
    for name in names:
        figure = page.locator(f'figure[data-chart="{name}"]')
        figure.scroll_into_view_if_needed()
        expect(figure.locator(".js-plotly-plot .main-svg").first).to_be_visible(timeout=30_000)


def numbers(page: Page, name: str, newest: str) -> None:
    """A figure's numbers, opened from the keyboard, are those of the newest round first."""
    figure = page.locator(f'figure[data-chart="{name}"]')
    figure.locator("summary").press("Enter")
    expect(figure.locator("tbody th").first).to_have_text(newest)


def test_a_job_is_watched_from_its_launch_to_who_benefits(
    stack: Stack, page: Page, tmp_path: Path
) -> None:
    rounds = {"count": 4}
    alone = federation.job("each alone", algorithm={"name": "local"}, rounds=rounds)
    together = federation.job("together", rounds=rounds)
    page.evaluate("window.stays = true")
    first, second = submitted(stack, alone), submitted(stack, together)
    expect(page.locator(f'#jobs a[href="/jobs/{second}"]')).to_be_visible()
    assert page.evaluate("window.stays")  # the list, which may have been empty
    page.goto(f"{stack.url}/jobs/{second}")
    page.evaluate("window.stays = true")
    expect(page.locator("#now-title")).to_contain_text("train", timeout=ENDS_WITHIN_MS)
    expect(page.locator("#members .state.leased").first).to_be_visible(timeout=ENDS_WITHIN_MS)
    picture(page, "running")
    ended = page.locator("#standing .state.succeeded")
    expect(ended).to_be_visible(timeout=ENDS_WITHIN_MS)
    assert page.evaluate("window.stays")
    expect(page.locator("#benefits")).to_contain_text("digits", timeout=30_000)
    drawn(page, "timeline", "traffic", "losses", "replacements")
    expect(page.locator("#ledger")).to_contain_text("c01", timeout=30_000)
    page.locator('figure[data-chart="traffic"]').evaluate("each => each.scrollIntoView()")
    picture(page, "rounds")
    numbers(page, "losses", "4")
    numbers(page, "timeline", "4")
    page.goto(f"{stack.url}/jobs/{first}")
    expect(page.locator("#standing .state.succeeded")).to_be_visible(timeout=ENDS_WITHIN_MS)
    page.goto(f"{stack.url}/jobs/{second}/benefits")
    expect(page.locator(".verdict")).to_contain_text("of 4")
    picture(page, "benefits")
    page.get_by_role("link", name="Compare").click()
    page.locator(f'input[value="{first}"]').check()
    page.get_by_role("button", name="Compare the chosen").click()
    expect(page.locator("#compared tbody tr")).to_have_count(4)
    page.goto(f"{stack.url}/jobs/{second}/events")
    expect(page.locator("#events li").last).to_contain_text("job.submitted")
    page.goto(f"{stack.url}/clients")
    expect(page.locator("#clients")).to_contain_text("there")
    page.goto(stack.url)
    picture(page, "jobs")
    report_of(stack, second, page, tmp_path / "report.html")


def report_of(stack: Stack, job: str, page: Page, file: Path) -> None:
    """What `tapestry report --html` writes can be read where there is no server."""
    tapestry(stack, "report", job, "--html", str(file))
    page.goto(file.as_uri())
    expect(page.locator(".verdict")).to_contain_text("of 4")
    drawn(page, "traffic", "losses", "replacements")
    numbers(page, "replacements", "4")


def test_a_link_of_the_command_line_signs_in(stack: Stack, browser: Browser) -> None:
    link = tapestry(stack, "page").strip()
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(link)
        expect(page).to_have_title("Jobs - Tapestry")


def tapestry(stack: Stack, *arguments: str) -> str:
    """What the command prints."""
    key_file = str(stack.admin_key_file)
    command = [sys.executable, "-m", "cli", *arguments, "--url", stack.url, "--key-file", key_file]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
