"""Signing in: a key goes into a cookie that scripts cannot read, and out again."""

from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from server.auth import OPEN, VIEWING, find_principal
from server.context import App, Context
from server.database import glance
from server.errors import ProblemError
from server.web.browser import SIGN_IN, cookie_name
from server.web.site import page

router = APIRouter(include_in_schema=False, dependencies=[OPEN])
_LONGEST_FORM_BYTES = 4096
Next = Annotated[str, Query(max_length=2000)]


@router.get(SIGN_IN)
def sign_in(next: Next = "/") -> Response:  # noqa: A002 - the parameter's name on the wire
    """Ask for a key."""
    return page("signin.html", {"next": _local(next), "problem": None})


@router.post(SIGN_IN)
async def signed_in(request: Request, app: App) -> Response:
    """Keep a valid key in the cookie and go where the reader wanted to."""
    form = await _form(request)
    key, wanted = form.get("key", "").strip(), _local(form.get("next", "/"))
    problem = await run_in_threadpool(_problem, app, key)
    if problem is not None:
        return page("signin.html", {"next": wanted, "problem": problem}, 401)
    answer = RedirectResponse(wanted, 303)
    answer.set_cookie(
        cookie_name(request.headers),
        key,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


@router.post("/signout")
def sign_out(request: Request) -> Response:
    """Forget the key in this browser; the key itself stays valid."""
    answer = RedirectResponse(SIGN_IN, 303)
    answer.delete_cookie(cookie_name(request.headers), httponly=True, samesite="strict")
    return answer


def _problem(context: Context, key: str) -> str | None:
    """Why the key does not open the page, in a sentence."""
    try:
        with glance(context.sessions) as session:
            principal = find_principal(session, f"Bearer {key}")
    except ProblemError:
        return "This is no valid key: copy it whole, or ask an operator for one."
    if principal.scope not in VIEWING:
        return (
            f"This is a {principal.scope}'s key, which sees its own work only: the page needs one "
            "of scope viewer, operator or admin."
        )
    return None


async def _form(request: Request) -> dict[str, str]:
    """The fields of a small form; none of one that is too long, or has too many."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_FORM_BYTES:
            return {}
    text = body.decode("latin-1")
    try:
        found = parse_qs(text, max_num_fields=4, encoding="utf-8", errors="replace")
    except ValueError:
        return {}
    return {name: values[0] for name, values in found.items()}


def _local(address: str) -> str:
    """An address of this site alone: a link must not lead a reader who signs in elsewhere."""
    plain = address.isascii() and address.isprintable() and "\\" not in address
    return address if plain and address.startswith("/") and address[1:2] != "/" else "/"
