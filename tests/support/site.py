"""The page's own app, and a reader who looks at it in a browser."""

from dataclasses import dataclass, field

from fastapi import FastAPI
from playwright.sync_api import BrowserContext, Page

from tests.support.scripted import World


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

    def renew(self, page: Page) -> None:
        """What the page does by itself now and then."""
        page.evaluate("document.dispatchEvent(new Event('tapestry:renew'))")

    def round(self, job: str, value: float = 1.0) -> None:
        """Both clients deliver, and the round is averaged."""
        self.world.train("c1", value)
        self.world.train("c2", value + 4)
        self.world.advance(job)


def app_of(world: World) -> FastAPI:
    """The app of a world, to be served."""
    assert isinstance(world.http.app, FastAPI)
    return world.http.app
