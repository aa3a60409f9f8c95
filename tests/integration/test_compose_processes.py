"""Every service's own command, as docker-compose.yml has it, as a local process on real servers.

Each gets the environment that the file gives it, with this machine's addresses and directories, and
its own Valkey, so that the file's health check is about this process and no other.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from cli.stack import ports, postgres, valkey
from cli.stack.processes import Child, Command, Processes
from scripts.tiny_federation import CLIENTS, write_clients
from tests.support import compose
from tests.support.compose import CLIENT_FILE, OF_A_CLIENT, ROOT

pytestmark = pytest.mark.integration
AT_A_CLIENT = "a client's worker"
SERVICES: dict[str, Any] = {
    **compose.resolved()["services"],
    AT_A_CLIENT: compose.resolved(OF_A_CLIENT, CLIENT_FILE)["services"]["worker"],
}
WITHIN_S = 120.0
PATH = f"{Path(sys.executable).parent}:/usr/bin:/bin"


@dataclass
class Machine:
    """Starts services here, with addresses and directories of this machine."""

    processes: Processes
    place: Path
    database_url: str
    port: int = field(default_factory=ports.free_port)
    brokers: int = 0

    def local(self) -> dict[str, str]:
        """What differs between a container and this machine; a new Valkey each time."""
        self.brokers += 1
        broker = valkey.start(self.processes, self.place / f"valkey-{self.brokers}")
        return {
            **self.apart("DATABASE", self.database_url),
            **self.apart("REDIS", broker.url()),
            "TAPESTRY_ARTIFACTS_DIR": str(self.place / "artifacts"),
            "TAPESTRY_HOST": "127.0.0.1",
            "TAPESTRY_PORT": str(self.port),
            "TAPESTRY_API_URL": f"http://127.0.0.1:{self.port}",
            "TAPESTRY_WORK_DIR": str(self.place / f"work-{self.brokers}"),
        }

    def apart(self, name: str, url: str) -> dict[str, str]:
        """An address without its password, which is in a file."""
        parts = urlsplit(url)
        assert parts.password
        file = self.place / f"{name}-{self.brokers}"
        file.write_text(f"{parts.password}\n")
        without = url.replace(f":{parts.password}@", "@")
        return {f"TAPESTRY_{name}_URL": without, f"TAPESTRY_{name}_PASSWORD_FILE": str(file)}

    def environment(self, name: str, **own: str) -> dict[str, str]:
        """The service's own variables, no other: one that the file lacks is missed here too."""
        local = self.local() | own
        given = SERVICES[name]["environment"]
        assert not {n for n in os.environ if n.startswith("TAPESTRY_")}
        found = {n: local.get(n, value) for n, value in given.items()} | {"PATH": PATH}
        return {n: value for n, value in found.items() if value is not None}  # Compose: not set

    def run(self, name: str, **own: str) -> None:
        """Run a one-shot service to its successful end."""
        self.processes.wait(self.start(name, self.environment(name, **own)), WITHIN_S)

    @contextmanager
    def serving(self, name: str, **own: str) -> Iterator[Child]:
        """A service, healthy by its own check, until the block ends; then it must stop in time."""
        environment = self.environment(name, **own)
        assert not healthy(name, environment)
        child = self.start(name, environment)
        try:
            wait_until_healthy(name, environment, child)
            yield child
            child.process.send_signal(stop_signal(name))
            assert child.process.wait(grace_s(name)) in {0, -stop_signal(name)}
        finally:
            self.processes.stop(child)
        assert not healthy(name, environment)

    def start(self, name: str, environment: Mapping[str, str]) -> Child:
        """Start a service's command. The images' working directory has what the repository has."""
        program, *rest = SERVICES[name]["command"]
        found = shutil.which(program, path=environment["PATH"])
        assert found is not None
        log = self.place / f"{name}.log"
        return self.processes.start(Command(name, [found, *rest], environment, cwd=ROOT), log)


def stop_signal(name: str) -> signal.Signals:
    return signal.Signals[SERVICES[name].get("stop_signal", "SIGTERM")]


def grace_s(name: str) -> float:
    return float(SERVICES[name].get("stop_grace_period", "10s").removesuffix("s"))


def healthy(name: str, environment: Mapping[str, str]) -> bool:
    """Whether the service's own health check passes, run as the container would run it."""
    kind, *words = SERVICES[name]["healthcheck"]["test"]
    command = ["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else words
    program = shutil.which(command[0], path=environment["PATH"])
    assert program is not None
    done = subprocess.run(
        [program, *command[1:]],
        env=dict(environment),
        cwd=ROOT,
        capture_output=True,
        timeout=30,
        check=False,
    )
    return done.returncode == 0


def wait_until_healthy(name: str, environment: Mapping[str, str], child: Child) -> None:
    end = time.monotonic() + WITHIN_S
    while not healthy(name, environment):
        assert not child.ended, child.failure()
        assert time.monotonic() < end, child.log.read_text()
        time.sleep(0.5)


@pytest.fixture(scope="module")
def machine(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    place = tmp_path_factory.mktemp("compose")
    for directory in ("keys/operator", "keys/planner", "keys/clients"):
        (place / directory).mkdir(parents=True)
    write_clients(place / "clients")
    with Processes() as processes:
        yield Machine(processes, place, database_url)


@pytest.fixture(scope="module")
def api(machine: Machine) -> Iterator[Child]:
    with machine.serving("api") as child:
        yield child


@pytest.fixture(scope="module")
def keys(machine: Machine, api: Child) -> Path:  # noqa: ARG001 - the keys' service asks the API
    """The keys' directory after the service has run, twice, for the second time changes nothing."""
    keys = machine.place / "keys"
    own = {
        "TAPESTRY_KEYS_DIR": str(keys),
        "TAPESTRY_CLIENT_FILES": ",".join(f"/clients/{name}/client.yaml" for name in CLIENTS)
        + ",none,",
    }
    machine.run("keys", **own)
    made = {path: path.read_text() for path in keys.rglob("*") if path.is_file()}
    machine.run("keys", **own)
    assert made == {path: path.read_text() for path in keys.rglob("*") if path.is_file()}
    return keys


def test_migrate_brings_an_empty_database_to_the_newest_schema(
    machine: Machine, postgres_url: str
) -> None:
    machine.run("migrate", **machine.apart("DATABASE", postgres_url))
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (0,)


def test_the_coordinator_serves(machine: Machine) -> None:
    with machine.serving("coordinator"):
        pass


def test_the_keys_are_private_and_complete(keys: Path) -> None:
    files = sorted(path for path in keys.rglob("*") if path.is_file())
    names = [str(path.relative_to(keys)) for path in files]
    clients = [f"clients/{name}.key" for name in CLIENTS]
    assert names == [*clients, "operator/admin.key", "planner/planner.key"]
    assert all(path.read_text().startswith("tap_") for path in files)
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)


def test_keys_of_another_database_are_one_sentence(
    machine: Machine, keys: Path, tmp_path: Path
) -> None:
    others = Path(shutil.copytree(keys, tmp_path / "keys"))
    (others / "operator" / "admin.key").write_text("tap_unknown_key\n")
    own = {"TAPESTRY_KEYS_DIR": str(others), "TAPESTRY_CLIENT_FILES": "/clients/c01/client.yaml"}
    child = machine.start("keys", machine.environment("keys", **own))
    assert child.process.wait(WITHIN_S) == 1
    said = child.log.read_text().splitlines()[-1]
    machine.processes.stop(child)
    assert said.startswith("keys: the operator's key is of another database: ")


def test_the_planner_serves(machine: Machine, keys: Path) -> None:
    with machine.serving("planner", TAPESTRY_KEYS_DIR=str(keys / "planner")):
        pass


@pytest.mark.parametrize(("name", "client"), [("worker-1", CLIENTS[0]), ("worker-2", CLIENTS[1])])
def test_a_worker_serves(machine: Machine, keys: Path, name: str, client: str) -> None:
    own = {
        "TAPESTRY_KEYS_DIR": str(keys / "clients"),
        "TAPESTRY_CLIENT_FILES": str(machine.place / "clients" / client / "client.yaml"),
    }
    with machine.serving(name, **own) as child:
        assert f"{client} is offered" in child.log.read_text()


def test_a_client_s_worker_serves_without_a_broker(machine: Machine, keys: Path) -> None:
    client = CLIENTS[0]
    own = {
        "TAPESTRY_KEY_FILE": str(keys / "clients" / f"{client}.key"),
        "TAPESTRY_CLIENT_FILES": str(machine.place / "clients" / client / "client.yaml"),
        "TAPESTRY_REDIS_URL": "",
        "TAPESTRY_SHELF_KEYS_DIR": str(machine.place / "shelf-keys"),
    }
    with machine.serving(AT_A_CLIENT, **own) as child:
        assert f"{client} is offered" in child.log.read_text()


def test_redis_asks_for_the_password_and_shows_it_to_nobody(
    machine: Machine, tmp_path: Path
) -> None:
    """Its health check needs redis-cli, which no wheel has; `make compose-check` runs that."""
    (tmp_path / "redis-server").symlink_to(valkey.binary())
    port = ports.free_port()
    password, file = "redis-made-up", tmp_path / "password"
    file.write_text(f"{password}\n")
    given = {"REDIS_PORT": str(port), "REDIS_PASSWORD_FILE": str(file)}
    environment = SERVICES["redis"]["environment"] | given | {"PATH": f"{tmp_path}:{PATH}"}
    child = machine.start("redis", environment)
    wait_for_port(port, child)
    shown = Path(f"/proc/{child.process.pid}/cmdline").read_text()
    assert "redis-server" in shown
    assert password not in shown
    with redis.Redis(port=port, password=password) as client:
        assert client.ping()
        assert client.config_get("save")["save"] == ""
    with redis.Redis(port=port) as client, pytest.raises(redis.AuthenticationError):
        client.ping()
    child.process.send_signal(stop_signal("redis"))
    assert child.process.wait(grace_s("redis")) == 0
    machine.processes.stop(child)


def wait_for_port(port: int, child: Child) -> None:
    end = time.monotonic() + WITHIN_S
    while ports.is_free("127.0.0.1", port):
        assert not child.ended, child.failure()
        assert time.monotonic() < end
        time.sleep(0.05)


def test_postgres_is_healthy_by_its_own_check(databases: Any) -> None:
    """Its command is the image's own; the check is run with the wheel's pg_isready."""
    path = {"PATH": f"{postgres.binaries()}:{PATH}"}
    assert healthy("postgres", path | {"PGPORT": str(databases.server.port)})
    assert not healthy("postgres", path | {"PGPORT": str(ports.free_port())})
