"""Health checks of the containers, run inside them: `compose_health.py {api,broker,worker}`.

Of the standard library alone.

api: the API says that it can work. broker: this container is connected to Redis. The coordinator,
the planner and the workers connect to Redis after all else that they need at start (the schema,
the keys, the offers), so the connection says that they serve. It is read off the kernel's table,
for one made here would say nothing about them.

worker: the worker of this container has offered its clients, with a broker or without: it says so
by a file in its work directory, which it holds as long as it lives.
"""

import fcntl
import os
import sys
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_ESTABLISHED = "01"
_REDIS_PORT = 6379
_TIMEOUT_S = 4.0


def main() -> None:
    """Exit with 0 when all is well, else with a sentence."""
    try:
        {"api": api, "broker": broker, "worker": worker}[sys.argv[1]]()
    except (IndexError, KeyError) as error:
        checks = "{api,broker,worker}"
        sys.exit(f"usage: compose_health.py {checks}, with the service's variables ({error})")
    except OSError as error:
        sys.exit(f"not healthy: {error}")


def api() -> None:
    """Raises OSError unless the API of this container answers that it is ready."""
    url = f"http://127.0.0.1:{os.environ['TAPESTRY_PORT']}/readyz"
    urllib.request.urlopen(url, timeout=_TIMEOUT_S).close()


def broker() -> None:
    """Raises OSError unless something here is connected to the port of TAPESTRY_REDIS_URL."""
    port = urlsplit(os.environ["TAPESTRY_REDIS_URL"]).port or _REDIS_PORT
    if port not in _connected_ports():
        raise ConnectionError(f"nothing here is connected to Redis (port {port}); see the log")


def worker() -> None:
    """Raises OSError unless a worker lives in TAPESTRY_WORK_DIR and has offered its clients."""
    place = Path(os.environ["TAPESTRY_WORK_DIR"])
    if not ((place / "tmp" / "serving").exists() and _held(place / "lock")):
        raise ProcessLookupError(f"no worker serves from {place} yet; see the log")


def _held(lock: Path) -> bool:
    """Whether a living process has the file locked, as a worker has its directory's."""
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _connected_ports() -> set[int]:
    """Remote ports of all established connections; IPv6 may be missing."""
    rows = [row.split() for table in _TABLES if table.exists() for row in _lines(table)]
    return {int(row[2].rpartition(":")[2], 16) for row in rows if row[3] == _ESTABLISHED}


def _lines(table: Path) -> list[str]:
    """The rows: number, local address, remote address, state, ..."""
    return table.read_text(encoding="ascii").splitlines()[1:]


if __name__ == "__main__":
    main()
