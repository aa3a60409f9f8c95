"""What a reader of a long job's page waits for in a real browser: `python -m bench.page_view`.

The rows of the job are written by tests/support/long_job.py; a real API answers. Each view is in
a browser of its own, with nothing kept (first) or with what the first has kept (again). Times are
from the click: until something is painted, until the page is read, until the losses are drawn.
"""

import argparse
from statistics import median
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page

from bench.job_tables import serving, wait_until_ready
from bench.stacks import load_average, workplace
from tests.support.browsing import chromium
from tests.support.long_job import LongJob

_TIMES = """() => new Promise((tell) => {
  const [read] = performance.getEntriesByType("navigation");
  new PerformanceObserver((seen) => {
    const painted = seen.getEntriesByName("first-contentful-paint")[0];
    if (painted) tell({ painted: painted.startTime, read: read.domContentLoadedEventEnd,
                        bytes: read.transferSize });
  }).observe({ type: "paint", buffered: true });
})"""
_FIGURE = "figure[data-chart=losses]"
Figures = dict[str, float]


def viewed(context: BrowserContext, address: str) -> Figures:
    """One view."""
    page: Page = context.new_page()
    page.goto(address)
    found: dict[str, Any] = page.evaluate(_TIMES)
    page.locator(_FIGURE).scroll_into_view_if_needed()
    page.locator(f"{_FIGURE} .main-svg").first.wait_for()
    found["drawn"] = page.evaluate("performance.now()")
    page.close()
    return found


def views(browser: Browser, url: str, key: str, path: str) -> tuple[Figures, Figures]:
    """The first view of somebody who has signed in, and another."""
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{url}/signin#{key}")
        page.wait_for_url(f"{url}/")
        page.close()
        address = f"{url}{path}"
        return viewed(context, address), viewed(context, address)


def row(name: str, found: list[Figures]) -> str:
    """A line of the table: medians."""
    of = {each: median(one[each] for one in found) for each in ("painted", "read", "drawn")}
    size = found[0]["bytes"]
    times = " | ".join(f"{value:.0f} ms" for value in of.values())
    return f"| {name} | {times} | {size:,.0f} |"


def main() -> None:
    """Print a line for each page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args()
    job = LongJob(n_rounds=200, n_clients=30)
    with workplace() as (processes, root), serving(processes, root, job) as (child, url, key):
        wait_until_ready(url, child)
        print(f"load average before: {load_average()}")
        print("| page | painted | read | losses drawn | bytes |\n|---|---|---|---|---|")
        with chromium() as browser:
            found = [views(browser, url, key, f"/jobs/{job.id}") for _ in range(given.times)]
        for name, which in (("a job, first", 0), ("a job, again", 1)):
            print(row(name, [each[which] for each in found]), flush=True)
        print(f"load average after: {load_average()}")


if __name__ == "__main__":
    main()
