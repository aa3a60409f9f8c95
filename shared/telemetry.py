"""How processes without an API are watched: metrics on a port of their own."""

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_log = logging.getLogger(__name__)


def serve_metrics(registry: "CollectorRegistry", host: str, port: int | None) -> None:
    """Let Prometheus read there, in a thread; nothing without a port.

    One that cannot be had is logged: nobody's work ends for want of a watcher.
    """
    if port is None:
        return
    from prometheus_client import start_http_server  # noqa: PLC0415  # not where nobody watches

    try:
        start_http_server(port, host, registry)
    except OSError as error:
        _log.warning("metrics cannot be read at %s:%d (%s): set another port", host, port, error)
    else:
        _log.info("metrics are at http://%s:%d/metrics", host, port)
