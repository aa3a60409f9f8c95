"""Templates and the files that pages load. Nothing comes from anywhere else."""

import gzip
import hashlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from server.web import words

PLOTTING = "plotly.min.js"
# Chromium compiles such a file besides the page: what the library takes the page for is halved.
_AHEAD = {PLOTTING: b"//# allFunctionsCalledOnLoad\n"}
# Plotly writes styles of its own; scripts are files of this server alone, so that nothing which
# somebody put into a name can run.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data: blob:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}
_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class Asset:
    """A file that pages load, whole and compressed; its name changes with its bytes."""

    content: bytes
    compressed: bytes
    media_type: str
    digest: str


@cache
def asset(name: str) -> Asset | None:
    """The file of that name, if pages have one."""
    path = _paths().get(name)
    if path is None:
        return None
    content = _AHEAD.get(name, b"") + path.read_bytes()
    kind, digest = _KINDS[path.suffix], hashlib.sha256(content).hexdigest()[:12]
    return Asset(content, gzip.compress(content, 6, mtime=0), f"{kind}; charset=utf-8", digest)


@cache
def _paths() -> Mapping[str, Path]:
    own = Path(str(files("server.web"))) / "static"
    found = {path.name: path for path in own.iterdir() if path.suffix in _KINDS}
    plotly = importlib.util.find_spec("plotly")
    assert plotly is not None  # noqa: S101 - the server extra has it
    assert plotly.origin is not None  # noqa: S101 - likewise
    found[PLOTTING] = Path(plotly.origin).parent / "package_data" / PLOTTING
    return found


def address(name: str) -> str:
    """Where a page finds a file; another address for other bytes, so that browsers may keep it."""
    found = asset(name)
    assert found is not None, name  # noqa: S101 - a template names what there is
    return f"/static/{name}?v={found.digest}"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("server.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["asset"] = address
    filters: Mapping[str, Callable[..., str]] = words.FILTERS
    made.filters.update(filters)
    return made


def render(template: str, values: Mapping[str, Any]) -> str:
    """The template with these values, everything in them escaped."""
    return _environment().get_template(template).render(values)


def page(template: str, values: Mapping[str, Any], status: int = 200) -> HTMLResponse:
    """A page."""
    return html(render(template, values), status)


def html(text: str, status: int = 200) -> HTMLResponse:
    """A page that is made already."""
    return HTMLResponse(text, status, headers=_HEADERS)
