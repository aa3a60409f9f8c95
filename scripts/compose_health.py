"""Exits with 0 when this container is connected to Redis; a health check without HTTP; stdlib only.

The coordinator, the planner and the workers connect to Redis after all else that they need at
start (the schema, the keys, the offers), so the connection says that they serve. It is read off
the kernel's table, for one made here would say nothing about them.
"""

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_ESTABLISHED = "01"
_DEFAULT_PORT = 6379


def main() -> None:
    """Look for a connection to the port of TAPESTRY_REDIS_URL."""
    port = urlsplit(os.environ["TAPESTRY_REDIS_URL"]).port or _DEFAULT_PORT
    if port not in _connected_ports():
        sys.exit(f"nothing here is connected to Redis (port {port}): see this container's log")


def _connected_ports() -> set[int]:
    """Remote ports of all established connections; IPv6 may be missing."""
    rows = [row.split() for table in _TABLES if table.exists() for row in _lines(table)]
    return {int(row[2].rpartition(":")[2], 16) for row in rows if row[3] == _ESTABLISHED}


def _lines(table: Path) -> list[str]:
    """The rows: number, local address, remote address, state, ..."""
    return table.read_text(encoding="ascii").splitlines()[1:]


if __name__ == "__main__":
    main()
