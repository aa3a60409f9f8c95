"""Clients on hosts of their own, as docs/how-to/compose.md has it: three hosts on one machine.

The laboratory is a Compose project of its own and reaches the server's by published ports alone,
the API's and Redis's, both behind TLS; the shop's worker is a process here.
"""

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.podman import (
    LOG,
    ROOT,
    UP_WITHIN_S,
    CheckError,
    Podman,
    Project,
    free_port,
    plain_environment,
    run,
    say,
    write_passwords,
    write_readable,
)
from scripts.tls_front import certified, tls_before

HOST = "host.containers.internal"  # this machine, as podman's containers call it
HERE = "127.0.0.1"
CLIENTS = ("lab", "shop")
CLI = (sys.executable, "-m", "cli")
SHOP = "examples/clients/shop.yaml"
JOB = ROOT / "examples" / "jobs" / "own-data.yaml"
JOB_WITHIN_S = 900.0
OVERRIDE = 'services:\n  redis:\n    ports: ["127.0.0.1:{port}:6379"]\n'


@dataclass(frozen=True)
class Site:
    """Where the server is found from outside, and what the hosts keep in directories here."""

    place: Path
    api_port: int
    redis_port: int

    @property
    def authority(self) -> Path:
        """The certificate of who signed the server's; in the laboratory's directory."""
        return self.place / "client" / "authority.pem"


def check(podman: Podman) -> None:
    """A job over two clients elsewhere, and the models that they take. Raises CheckError."""
    place = podman.place / "hosts"
    place.mkdir()
    write_passwords(place / "secrets")
    copy_laboratory(place / "client")
    ports = {"api": free_port(), "redis": free_port()}
    with contextlib.ExitStack() as stack:
        say("starting the stack of a server without clients")
        server = stack.enter_context(server_project(podman, place, ports))
        server.up("--wait", "api", "coordinator", "planner")
        context = certified(place / "client" / "authority.pem", HOST, HERE)
        fronts = [stack.enter_context(tls_before(port, context)) for port in ports.values()]
        walk(podman, server, Site(place, *fronts))


def walk(podman: Podman, server: Project, site: Site) -> None:
    """From the clients' keys to their models."""
    keys = {client: site.place / f"{client}.key" for client in CLIENTS}
    for client, path in keys.items():
        write_readable(path, server.cli("register", client))
    say("starting a client's container on a network of its own, and a client without one")
    shop = Shop(site, keys["shop"])
    with laboratory(podman, server, site, keys["lab"]) as lab, shop.working():
        lab.up("--wait")
        wait_for("shop is offered", shop.log.read_text)
        wait_for("Connected to rediss://client.lab:", lambda: lab.compose(["logs", "worker"]))
        say("running a job of both")
        job = server.cli("submit", "/dev/stdin", text=JOB.read_text("utf-8")).strip()
        server.cli("watch", job, within_s=JOB_WITHIN_S)
        expect_scores(server, job, CLIENTS)
        take_models(site, lab, shop, job)


def copy_laboratory(directory: Path) -> None:
    """client.yaml and the data it names, readable by the container's user."""
    examples = ROOT / "examples" / "clients"
    shutil.copytree(examples / "lab", directory / "lab")
    shutil.copy(examples / "lab.yaml", directory / "client.yaml")
    for path in (directory, *directory.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def server_project(podman: Podman, place: Path, ports: Mapping[str, int]) -> Project:
    """The server's host: no clients, Redis published as docs/how-to/behind-a-firewall.md has it."""
    override = place / "docker-compose.override.yml"
    override.write_text(OVERRIDE.format(port=ports["redis"]), encoding="utf-8")
    given = {
        "TAPESTRY_SECRETS_DIR": str(place / "secrets"),
        "TAPESTRY_CLIENTS_DIR": str(place / "none"),
        "TAPESTRY_WORKER_1_FILES": "none",
        "TAPESTRY_WORKER_2_FILES": "none",
        "TAPESTRY_PORT": str(ports["api"]),
    }
    return podman.project("server", [ROOT / "docker-compose.yml", override], given)


def laboratory(podman: Podman, server: Project, site: Site, key: Path) -> Project:
    """The laboratory's host, whose worker is woken by a user of its own at Redis."""
    address = f"rediss://{HOST}:{site.redis_port}/0"
    admin = ["exec", "-T", "coordinator", "python", "-m", "server.admin"]
    broker = site.place / "redis-url"
    write_readable(
        broker, server.compose([*admin, "broker-user", "lab", "--address", address]).strip()
    )
    given = {
        "TAPESTRY_API_URL": f"https://{HOST}:{site.api_port}",
        "TAPESTRY_REDIS_URL_FILE": str(broker),
        "TAPESTRY_CLIENT_KEY": str(key),
        "TAPESTRY_CLIENT_DIR": str(site.place / "client"),
        "SSL_CERT_FILE": f"/client/{site.authority.name}",
    }
    return podman.project("lab", [ROOT / "docker-compose.client.yml"], given)


class Shop:
    """The shop's host: a worker without a container, and the shop's commands."""

    def __init__(self, site: Site, key: Path) -> None:
        self.log = site.place / "shop.log"
        self._environment = plain_environment() | {"SSL_CERT_FILE": str(site.authority)}
        url = f"https://{HERE}:{site.api_port}"
        work_dir = str(site.place / "shop-work")
        self._options = ["--url", url, "--key-file", str(key), "--work-dir", work_dir]

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """The worker, until the block ends."""
        with self.log.open("wb") as log:
            worker = subprocess.Popen(
                [*CLI, "worker", *self._options, SHOP],
                env=self._environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        try:
            yield
        finally:
            worker.terminate()
            worker.wait()
            with LOG.open("ab") as log:
                log.write(self.log.read_bytes())

    def export(self, job: str, out: Path) -> None:
        """Take the shop's model. Raises CheckError."""
        words = ["export", job, "--client-file", SHOP, *self._options, "--out", str(out)]
        run([*CLI, *words], env=self._environment, within_s=JOB_WITHIN_S)


def wait_for(sentence: str, read: Callable[[], str]) -> None:
    """Raises CheckError when a log goes on without the sentence."""
    end = time.monotonic() + UP_WITHIN_S
    while sentence not in read():
        if time.monotonic() > end:
            raise CheckError(f"no log says `{sentence}`")
        time.sleep(1.0)  # Compose tells nobody of a new line in a log


def expect_scores(server: Project, job: str, clients: Collection[str]) -> None:
    """Raises CheckError unless the job's report has scores of these clients and no others."""
    report = json.loads(server.cli("report", job, "--json"))
    scored = {row["client"] for row in report["scores"]}
    if scored != set(clients):
        raise CheckError(f"job {job} has scores of {sorted(scored)}, not of {sorted(clients)}")


def take_models(site: Site, lab: Project, shop: Shop, job: str) -> None:
    """Both clients take their models away, and each answers. Raises CheckError."""
    export = ["export", job, "--client", "lab", "--out", "/state/lab-model"]
    takeaway = ["exec", "-T", "worker", "python", "-m", "worker.takeaway", *export]
    lab.compose(takeaway, within_s=JOB_WITHIN_S)
    lab.compose(["cp", "worker:/state/lab-model", str(site.place / "lab-model")])
    shop.export(job, site.place / "shop-model")
    for client in CLIENTS:
        model = str(site.place / f"{client}-model")
        words = ["predict", model, "--task", "messages", "--text", "where is my order?"]
        run([*CLI, *words], within_s=JOB_WITHIN_S)
