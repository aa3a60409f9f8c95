"""The real app at a real address: under uvicorn, on loopback."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from tests.support.patience import wait_for


@contextmanager
def served(app: Any, port: int = 0, **options: Any) -> Iterator[str]:
    """The app's address, while a thread serves it; at any free port unless one is named.

    `options` are uvicorn's; `lifespan="off"` is for an app whose lifespan the caller has begun.
    """
    options = {"log_config": None, "log_level": "warning", "access_log": False, **options}
    with socket.create_server(("127.0.0.1", port)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, **options))
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            wait_for(lambda: server.started, 30)
            scheme = "https" if server.config.is_ssl else "http"
            yield f"{scheme}://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)
