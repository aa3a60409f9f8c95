"""Starts, watches and stops the whole local stack: servers, API, coordinator, planner, workers."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from cli.stack import ports, postgres, private, running, valkey
from cli.stack.errors import StackError
from cli.stack.processes import Child, Command, Processes
from cli.stack.settings import StackSettings
from shared.api_client import ApiClient
from shared.secret_files import SECRETS, file_of
from shared.transport import ApiError
from shared.views import ClientCreate

_API_WITHIN_S = 60.0
_PORT_TRIES = 3
_OFFERS_WITHIN_S = 180.0
_STOP_WITHIN_S = 5.0
_TOOL_WITHIN_S = 60.0
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "PYTHONUNBUFFERED": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # A user's own are of another service.
    **dict.fromkeys((file_of(name) for name in SECRETS if name.startswith("TAPESTRY_")), ""),
    "TAPESTRY_DATABASE_PASSWORD": "",
    "TAPESTRY_REDIS_PASSWORD": "",
}


class Stack:
    """A running local stack. A context manager: leaving it stops everything that it started."""

    def __init__(
        self, processes: Processes, settings: StackSettings, say: Callable[[str], None] = print
    ) -> None:
        self.processes = processes
        self.settings = settings
        self.url = ""
        self._say = say
        self._children: list[Child] = []
        self._lock: IO[str] | None = None
        self._server_env: dict[str, str] = {}

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def admin_key_file(self) -> Path:
        """The file with the administrator's key."""
        return self._keys / "admin.key"

    @property
    def _keys(self) -> Path:
        return self.settings.state / "keys"

    def client(self, patience_s: float = 8.0) -> ApiClient:
        """A client of the API with the administrator's key."""
        key = self.admin_key_file.read_text(encoding="ascii").strip()
        return ApiClient(self.url, key, patience_s)

    def close(self) -> None:
        """Stop everything: first what uses the servers, then the servers."""
        self.processes.stop_together(self._children, _STOP_WITHIN_S)
        self._children.clear()
        self.processes.stop_all()
        if self._lock is not None:
            (self.settings.state / running.NOTE).unlink(missing_ok=True)
            self._lock.close()

    def wait_for_offers(self) -> None:
        """Wait until every client's worker has said what it has. Raises StackError."""
        end = time.monotonic() + _OFFERS_WITHIN_S
        with self.client() as api:
            while missing := self._without_offer(api):
                self.processes.check()
                if time.monotonic() > end:
                    names = ", ".join(sorted(missing))
                    raise StackError(
                        f"no worker has spoken for {names} within {_OFFERS_WITHIN_S:.0f} s; "
                        f"see {self.settings.logs}"
                    )
                time.sleep(0.5)

    def all_there(self) -> bool:
        """Whether the worker of every client has said what the client has, as far as one knows."""
        with suppress(ApiError), self.client(patience_s=0.0) as api:
            return not self._without_offer(api)
        return False

    def _without_offer(self, api: ApiClient) -> set[str]:
        have = {client.id for client in api.clients() if client.offer is not None}
        return set(self.settings.clients) - have

    def _start(self) -> None:
        for directory in (self.settings.state, self.settings.logs, self._keys):
            private.directory(directory)
        self._take_lock()
        self.settings.check()
        began = time.monotonic()
        self._start_servers()
        self._migrate()
        keys = self._begin_keys()
        self._start_api()
        self._end_keys(keys)
        self._say(f"Postgres, Valkey and API are ready after {time.monotonic() - began:.1f} s")
        self._spawn("coordinator", ["server.background"], self._server_env)
        self._spawn("planner", ["worker", "planner"], self._worker_env("planner", {}))
        self._register_clients()
        self._start_workers()
        note = {
            "url": self.url,
            "key_file": str(self.admin_key_file.resolve()),
            "clients": self._places(),
        }
        private.write(self.settings.state / running.NOTE, json.dumps(note))

    def _take_lock(self) -> None:
        """Be the only stack of this state, and say so to `tapestry down`."""
        self._lock = running.take(self.settings.state)
        if self._lock is None:
            raise StackError(running.taken(self.settings.state))
        (self.settings.state / running.NOTE).unlink(missing_ok=True)  # of one that was killed
        running.sign(self._lock)

    def _start_servers(self) -> None:
        state, logs, durable = self.settings.state, self.settings.logs, self.settings.durable
        database = postgres.start(self.processes, state / "postgres", durable=durable, logs=logs)
        broker = valkey.start(self.processes, state / "valkey", logs=logs)
        self._server_env = {
            **_ENVIRONMENT,
            "TAPESTRY_DATABASE_URL": database.url(),
            "TAPESTRY_REDIS_URL": broker.url(),
            "TAPESTRY_ARTIFACTS_DIR": str(private.directory(state / "artifacts")),
        }

    def _migrate(self) -> None:
        command = self._command("migrate", ["server.migrate"], self._server_env)
        self.processes.run(command, self.settings.logs / "migrate.log", _TOOL_WITHIN_S)

    def _begin_keys(self) -> dict[Child, Path]:
        """Have the keys made that are missing, while the API starts; each with its new file."""
        begun = {}
        for name in ("admin", "planner"):
            path = self._keys / f"{name}.key"
            if not path.exists():
                module = ["server.admin", "create-key", "--scope", name]
                command = self._command(f"{name}-key", module, self._server_env)
                log = self.settings.logs / f"{name}-key.log"
                begun[self.processes.start(command, log, private.write(_new(path), ""))] = path
        return begun

    def _end_keys(self, begun: Mapping[Child, Path]) -> None:
        for child, path in begun.items():
            self.processes.wait(child, _TOOL_WITHIN_S)
            _new(path).rename(path)

    def _start_api(self) -> None:
        """Start the API; on another port when the free one was taken in between."""
        for _ in range(_PORT_TRIES):
            port = self.settings.port or ports.free_port()
            self.url = f"http://{self.settings.host}:{port}"
            env = {"TAPESTRY_HOST": self.settings.host, "TAPESTRY_PORT": str(port)}
            child = self._spawn("api", ["server.main"], {**self._server_env, **env})
            if self._api_is_ready(child):
                return
            taken = "address already in use" in " ".join(child.last_lines(20))
            if not taken or self.settings.port:
                raise child.failure()
            self._children.remove(child)
            self.processes.stop(child)
        raise StackError("the API found no free port: end programs that hold many ports")

    def _api_is_ready(self, child: Child) -> bool:
        """Wait until the API can serve; False when it ended instead."""
        end = time.monotonic() + _API_WITHIN_S
        with ApiClient(self.url, "none") as api:
            while not child.ended:
                if api.ready():
                    return True
                if time.monotonic() > end:
                    raise StackError(f"the API was not ready within a minute; see {child.log}")
                time.sleep(0.05)
        return False

    def _register_clients(self) -> None:
        with self.client() as api:
            known = {client.id for client in api.clients()}
            for name in self.settings.clients:
                path = self._keys / f"{name}.key"
                if not path.exists():
                    private.write(path, _register(api, name, known))

    def _start_workers(self) -> None:
        for number, share in enumerate(self.settings.shares(), start=1):
            name = f"worker-{number}"
            self._spawn(name, ["worker", "clients"], self._worker_env(name, share))

    def _places(self) -> dict[str, dict[str, str]]:
        """Each client's file, and the directory of the worker that serves it."""
        return {
            name: {
                "file": str(path.resolve()),
                "work_dir": str((self.settings.state / f"worker-{number}").resolve()),
            }
            for number, share in enumerate(self.settings.shares(), start=1)
            for name, path in share.items()
        }

    def _worker_env(self, name: str, clients: Mapping[str, Path]) -> dict[str, str]:
        return {
            **_ENVIRONMENT,
            "TAPESTRY_API_URL": self.url,
            "TAPESTRY_REDIS_URL": self._server_env["TAPESTRY_REDIS_URL"],
            "TAPESTRY_WORK_DIR": str(private.directory(self.settings.state / name)),
            "TAPESTRY_CLIENT_FILES": ",".join(str(path.resolve()) for path in clients.values()),
            "TAPESTRY_KEYS_DIR": str(self._keys),
        }

    def _spawn(self, name: str, module: list[str], env: Mapping[str, str]) -> Child:
        command = self._command(name, module, {**env, **self._metrics_env()})
        child = self.processes.start(command, self.settings.logs / f"{name}.log")
        self._children.append(child)
        return child

    def _metrics_env(self) -> dict[str, str]:
        """Where the next process's metrics are read; the API, which comes first, has a route."""
        first = self.settings.metrics_port
        if first is None or not self._children:
            return {}
        return {"TAPESTRY_METRICS_PORT": str(first + len(self._children) - 1)}

    def _command(self, name: str, module: list[str], env: Mapping[str, str]) -> Command:
        return Command(f"process {name}", [sys.executable, "-m", *module], env)


def _new(path: Path) -> Path:
    """Where a file is written before it is complete."""
    return path.with_name(f"{path.name}.new")


def _register(api: ApiClient, name: str, known: set[str]) -> str:
    """A new client's key."""
    if name in known:
        raise StackError(
            f"client {name} is registered but its key file is lost: restore it, or choose "
            "another --state"
        )
    try:
        return api.create_client(ClientCreate(id=name), f"local-stack-{name}").key
    except ApiError as error:
        raise StackError(f"client {name} was not registered: {error}") from error
