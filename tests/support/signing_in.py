"""Signing in to the page, as a browser does."""

from httpx2 import Response
from starlette.datastructures import Headers

from server.web.browser import cookie_name
from tests.support.scripted import World

HTML = {"Accept": "text/html"}
HERE = Headers({"host": "testserver"})


def sign_in(world: World, key: str, wanted: str = "/clients") -> Response:
    return world.http.post("/signin", data={"key": key, "next": wanted}, follow_redirects=False)


def cookie(world: World, key: str | None = None) -> dict[str, str]:
    return {"Cookie": f"{cookie_name(HERE)}={key or world.viewer.key}"}
