"""The stack that is disturbed: every process a fork, every connection through the fault proxy."""

import mmap
import os
import select
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sqlalchemy import Engine

from cli.stack import ports, postgres, private, valkey
from cli.stack.processes import Child, Command, Processes
from cli.stack.settings import StackSettings
from cli.stack.stack import Stack
from server.auth import create_key
from server.columns import Scope
from server.database import Sessions, make_engine, make_sessions
from server.migrate import upgrade
from shared.api_client import ApiClient
from tests.chaos.forks import Forks
from tests.chaos.proxy import Link, Proxy

ROLES = ("coordinator", "API", "worker", "planner")
N_APIS = 2
N_COORDINATORS = 2
LEASE_S = 3.0
_SOON = {
    "TAPESTRY_LEASE": f"PT{LEASE_S:.0f}S",
    "TAPESTRY_AGGREGATION_LEASE": "PT2S",
    "TAPESTRY_RETRY_DELAY": "PT0.2S",
    "TAPESTRY_TIMER": "PT0.5S",
}
_MACHINE_SOURCE = Path(__file__).with_name("machine.c")
_MACHINE = struct.Struct("qqq")  # as there


@dataclass(eq=False)
class Service:
    """One process of the service, which is started again whenever it ends."""

    name: str
    role: str  # one of ROLES
    env: Mapping[str, str]
    log: Path
    machine: Path  # how its wall clock and its disk are
    pid: int = 0
    handle: int = -1  # of the process, and of no other that may get its pid one day
    fault: str = ""  # what is being done to it now
    told_at: float | None = None  # when it was asked to end

    def begin(self, pid: int, handle: int) -> None:
        """A process has begun."""
        self.close()
        self.pid, self.handle, self.told_at = pid, handle, None

    def close(self) -> None:
        """Forget the process."""
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.handle >= 0 and not select.select([self.handle], [], [], 0)[0]

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it lives."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.handle, number)

    def tell_to_end(self) -> None:
        """Ask it to end in order."""
        self.told_at = time.monotonic()
        self.send(signal.SIGTERM)

    def say_where(self) -> None:
        """Have it write the stacks of its threads to its log."""
        self.send(signal.SIGUSR2)

    def set_machine(self, *, offset_s: int = 0, full: bool = False) -> int:
        """Have its wall clock wrong or its disk full; how often that has been too full."""
        with self.machine.open("r+b") as file:
            _, _, refused = _MACHINE.unpack(file.read(_MACHINE.size))
            file.seek(0)
            file.write(_MACHINE.pack(offset_s, full, 0))
        return int(refused)

    def last_words(self) -> str:
        """What its log ends with."""
        lines = self.log.read_text(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "nothing")[:60]


@dataclass(eq=False)
class Server:
    """Postgres or Valkey, always on the same port."""

    name: str
    command: Command
    log: Path
    child: Child
    fault: str = ""


class Disturbed(Stack):
    """Postgres, Valkey, two APIs, two coordinators, a planner, and a worker for each client."""

    def __init__(self, processes: Processes, settings: StackSettings) -> None:
        super().__init__(processes, settings, lambda _: None)
        self.services: dict[str, Service] = {}
        self.servers: dict[str, Server] = {}
        self.links: dict[str, Link] = {}
        self.proxy = Proxy()
        self.engine: Engine | None = None
        self.shim = _compiled_machine(self.settings.state)
        self.forks: Forks | None = None

    @property
    def artifacts(self) -> Path:
        """Where the server keeps artifacts."""
        return self.settings.state / "artifacts"

    @cached_property
    def apis(self) -> list[ApiClient]:
        """The operator's clients of both APIs, past the proxy."""
        key = self.admin_key_file.read_text(encoding="ascii").strip()
        return [ApiClient(url, key, patience_s=1.0) for url in self._urls]

    def start(self, service: Service) -> None:
        """Start a service that does not run."""
        if self.forks is None:
            raise RuntimeError("the stack has not begun")
        service.begin(*self.forks.start(service.role, service.env, service.log, service.machine))

    def restart_server(self, server: Server) -> None:
        """Start Postgres or Valkey again; nobody waits until it is ready."""
        self.processes.stop(server.child, within_s=5.0)
        server.child = self.processes.start(server.command, server.log)

    def ended(self) -> list[Service]:
        """Services that have ended although nobody does anything to them."""
        return [s for s in self.services.values() if not s.fault and not s.alive]

    def status(self, service: Service) -> int | None:
        """How the service's process ended; None while it runs."""
        if self.forks is None or service.alive:
            return None
        return self.forks.ends().get(service.pid)

    def close(self) -> None:
        """Stop everything."""
        if self.forks is not None:
            self.forks.close()
            self.forks = None
        for service in self.services.values():
            service.close()
        with suppress(RuntimeError):
            self.proxy.close()
        for api in self.__dict__.get("apis", ()):
            api.close()
        if self.engine is not None:
            self.engine.dispose()
        super().close()

    def _start(self) -> None:
        state, logs = self.settings.state, self.settings.logs
        for directory in (state, logs, self._keys, self.artifacts, state / "machines"):
            private.directory(directory)
        self._take_lock()
        self.forks = Forks(state / "ends", logs / "forks.log", self.shim)
        self._start_servers()
        self._make_keys()
        self._urls = [f"http://{ports.LOCALHOST}:{ports.free_port()}" for _ in range(N_APIS)]
        self.url = self._urls[0]
        for number, url in enumerate(self._urls, start=1):
            self._add(f"api-{number}", "API", self._server(f"api-{number}", url))
        self._wait_for_apis()
        for number in range(1, N_COORDINATORS + 1):
            name = f"coordinator-{number}"
            self._add(name, "coordinator", self._server(name))
        self._add("planner", "planner", self._worker(0, "planner", {}))
        self._register_clients()
        for number, (client, path) in enumerate(sorted(self.settings.clients.items()), start=1):
            name = f"worker-{number}"
            self._add(name, "worker", self._worker(number, name, {client: path}))

    def _start_servers(self) -> None:
        state, logs = self.settings.state, self.settings.logs
        self.database = postgres.start(self.processes, state / "postgres", logs=logs)
        self.broker = valkey.start(self.processes, state / "valkey", logs=logs)
        data = state / "postgres" / "data"
        again = postgres._command(data, self.database.port, durable=True)
        child = self.database.child
        self.servers["postgres"] = Server("postgres", again, child.log, child)
        child = self.broker.child
        self.servers["valkey"] = Server("valkey", child.command, child.log, child)
        self._server_env = {"TAPESTRY_REDIS_URL": self.broker.url()}

    def _make_keys(self) -> None:
        """As the administrator does, past the proxy; in this process, for it has the imports."""
        upgrade(self.database.url())
        self.engine = make_engine(self.database.url())
        with self.sessions.begin() as session:
            for scope in (Scope.ADMIN, Scope.PLANNER):
                private.write(self._keys / f"{scope}.key", create_key(session, scope))

    @property
    def sessions(self) -> Sessions:
        """The database, past the proxy."""
        if self.engine is None:
            raise RuntimeError("the stack has not begun")
        return make_sessions(self.engine)

    def _wait_for_apis(self) -> None:
        end = time.monotonic() + 120
        for api in self.apis:
            while not api.ready():
                if time.monotonic() > end:
                    raise TimeoutError(f"the API is not ready; see {self.settings.logs}")
                time.sleep(0.05)

    def _add(self, name: str, role: str, env: Mapping[str, str]) -> None:
        machine = self.settings.state / "machines" / name
        machine.write_bytes(bytes(mmap.PAGESIZE))
        service = Service(name, role, env, self.settings.logs / f"{name}.log", machine)
        self.services[name] = service
        self.start(service)

    def _server(self, name: str, url: str = "") -> dict[str, str]:
        database = self._link(f"{name} to postgres", self.database.port)
        broker = self._link(f"{name} to valkey", self.broker.port)
        return {
            **_SOON,
            "TAPESTRY_DATABASE_URL": _through(self.database.url(), database),
            "TAPESTRY_REDIS_URL": _through(self.broker.url(), broker),
            "TAPESTRY_ARTIFACTS_DIR": str(self.artifacts),
            **({"TAPESTRY_PORT": url.rpartition(":")[2]} if url else {}),
        }

    def _worker(self, number: int, name: str, clients: Mapping[str, Path]) -> dict[str, str]:
        url = self._urls[number % N_APIS]
        api = self._link(f"{name} to api", int(url.rpartition(":")[2]))
        broker = self._link(f"{name} to valkey", self.broker.port)
        return {
            **self._worker_env(name, clients),
            "TAPESTRY_API_URL": f"http://{ports.LOCALHOST}:{api.port}",
            "TAPESTRY_REDIS_URL": _through(self.broker.url(), broker),
            "TAPESTRY_POLL_S": "0.5",
            "TAPESTRY_CHECKPOINT_S": "0",
        }

    def _link(self, name: str, target: int) -> Link:
        self.links[name] = self.proxy.link(name, target)
        return self.links[name]


def _through(url: str, link: Link) -> str:
    """The address with the link's port."""
    head, _, tail = url.rpartition(":")
    return f"{head}:{link.port}/{tail.partition('/')[2]}"


def _compiled_machine(state: Path) -> Path | None:
    """The library by which a process's machine is changed; None where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    library = private.directory(state) / "machine.so"
    options = ["-shared", "-fPIC", "-O1", "-o", str(library)]
    subprocess.run([compiler, *options, str(_MACHINE_SOURCE), "-ldl"], check=True)
    return library
