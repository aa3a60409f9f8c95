"""The API is reached through a site's proxy, and trusted by the site's own authority."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from shared.api_client import ApiClient
from shared.connecting import proxy_for
from shared.transport import ApiError
from tests.support.forward_proxy import ForwardProxy, forward_proxy
from tests.support.scripted import World
from tests.support.serving import served

pytestmark = pytest.mark.integration

NAME = "tapestry.example"
URL = f"https://{NAME}"
LOCAL = ("127.0.0.1", "localhost", "::1")


@pytest.fixture(autouse=True)
def nothing_between(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """An authority that only this site knows; api.pem beside it is the API's, signed by it."""
    own = trustme.CA()
    own.cert_pem.write_to_path(tmp_path / "authority.pem")
    own.issue_cert(NAME, *LOCAL).private_key_and_cert_chain_pem.write_to_path(tmp_path / "api.pem")
    return tmp_path / "authority.pem"


@pytest.fixture
def api(world: World, authority: Path) -> Iterator[str]:
    """The real API behind TLS, at its address on this machine."""
    certificate = authority.parent / "api.pem"
    with served(world.http.app, lifespan="off", ssl_certfile=certificate) as url:
        yield url


@pytest.fixture
def proxy(api: str) -> Iterator[ForwardProxy]:
    with forward_proxy({NAME: urlsplit(api).port or 0}) as running:
        yield running


def asked(url: str, world: World) -> str:
    """What the API knows the key as. Raises ApiError."""
    with ApiClient(url, world.viewer.key, patience_s=0) as client:
        return client.whoami().scope


def refused(url: str, world: World) -> str:
    """Why it cannot be asked."""
    with pytest.raises(ApiError) as caught:
        asked(url, world)
    return caught.value.problem.detail


def test_the_sites_proxy_and_authority_are_used(
    world: World, proxy: ForwardProxy, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.address)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    assert asked(URL, world) == "viewer"
    assert proxy.connected == [f"{NAME}:443"]


def test_this_machine_is_reached_directly(
    world: World, api: str, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    assert asked(api, world) == "viewer"
    for name in ("localhost", "0.0.0.0"):  # noqa: S104 - what `up --host` may have been told
        here = api.replace("127.0.0.1", name)
        assert proxy_for(here) is None
    assert asked(api.replace("127.0.0.1", "localhost"), world) == "viewer"


def test_a_name_without_a_proxy_is_looked_up_here(
    world: World, proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
    monkeypatch.setenv("NO_PROXY", ".example")
    assert "https://tapestry.example cannot be reached (" in refused(URL, world)
    assert proxy.connected == []


def test_an_authority_that_is_not_named_is_not_trusted(world: World, api: str) -> None:
    assert "name that in SSL_CERT_FILE" in refused(api, world)


def test_a_password_is_taken_from_the_proxys_address_and_never_said(
    world: World, api: str, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    with forward_proxy({NAME: urlsplit(api).port or 0}, asks=True) as asking:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@{asking.address}")
        assert asked(URL, world) == "viewer"
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:hidden@{asking.address}")
        said = refused(URL, world)
    assert f"through the proxy {asking.address} (407 Proxy Authentication Required)" in said
    assert "hidden" not in said


@pytest.mark.parametrize(
    ("proxy_address", "expected"),
    [
        ("http://127.0.0.1:1", "cannot be reached through the proxy 127.0.0.1:1 ("),
        ("ftp://127.0.0.1:1", "let HTTPS_PROXY be http://HOST:PORT"),
        ("socks5://127.0.0.1:1", "let HTTPS_PROXY be http://HOST:PORT"),
        ("http://127.0.0.1:many", "let HTTPS_PROXY be http://HOST:PORT"),
    ],
)
def test_a_proxy_that_is_none_is_named(
    proxy_address: str, expected: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy_address)
    assert expected in refused(URL, world)


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_authorities_that_cannot_be_read_are_named(
    content: str | None, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "own.pem"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    said = refused(URL, world)
    assert f"the certificates of {file} cannot be read" in said
    assert "PEM" in said
