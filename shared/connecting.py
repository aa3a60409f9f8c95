"""How the API is reached over what stands between: a proxy, an authority of one's own.

Both are named as everywhere: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, SSL_CERT_FILE and
SSL_CERT_DIR. This machine itself is always reached directly.
"""

import ipaddress
import os
import ssl
import urllib.request
from typing import Any

import httpx

_LOCAL_NAMES = frozenset({"localhost", "ip6-localhost"})


class SettingError(Exception):
    """What names the proxy or the authorities cannot be used."""


def connection(url: str, **options: Any) -> httpx.Client:
    """An HTTP client for one address and what lies below it; `options` are httpx's.

    Raises SettingError.
    """
    proxy = proxy_for(url)
    authorities = _authorities()
    try:
        return httpx.Client(
            base_url=url, verify=authorities, proxy=proxy, trust_env=False, **options
        )
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        if proxy is None:
            raise
        raise SettingError(
            f"{url} is to be reached through a proxy that cannot be used ({error}): "
            "let HTTPS_PROXY be http://HOST:PORT, or name the address in NO_PROXY"
        ) from error


def proxy_for(url: str) -> str | None:
    """The proxy by which the address is reached, if any."""
    parts = httpx.URL(url)
    if _is_here(parts.host) or urllib.request.proxy_bypass(parts.netloc.decode()):
        return None
    named = urllib.request.getproxies()
    proxy = named.get(parts.scheme) or named.get("all")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def unreachable(url: str, error: httpx.RequestError) -> str:
    """Why the address cannot be reached, and what to do about it."""
    why = str(error) or type(error).__name__
    if "SSL" in why:
        return (
            f"{url} cannot be trusted ({why}): check the address, http or https, and its "
            "certificate; where an authority of your own has signed it, name that in SSL_CERT_FILE"
        )
    if proxy := proxy_for(url):
        by = httpx.URL(proxy).netloc.decode()  # without a name and a password
        return (
            f"{url} cannot be reached through the proxy {by} ({why}): check HTTPS_PROXY and "
            "NO_PROXY, and that the API runs there"
        )
    return f"{url} cannot be reached ({why}): check that the API runs there"


def _authorities() -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context()
    except OSError as error:  # ssl.SSLError, too
        named = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")
        raise SettingError(
            f"the certificates of {named} cannot be read ({error}): let SSL_CERT_FILE name a file "
            "of PEM certificates"
        ) from error


def _is_here(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host in _LOCAL_NAMES
    return address.is_loopback or address.is_unspecified
