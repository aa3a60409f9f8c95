"""A bucket of an S3-compatible server in a process on loopback, behind a link that can be cut."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import obstore
from obstore.store import S3Store

from cli.stack.ports import LOCALHOST, free_port
from cli.stack.processes import Command, Processes
from tests.chaos.proxy import ANSWERS, Link, Proxy
from tests.support.patience import wait_for

NOBODY = 1  # a port where nobody listens
_SOON_S = 60.0


@dataclass
class Bucket:
    """Where it is, and what may be done to it behind a store's back."""

    url: str
    proxy: Proxy
    link: Link
    port: int

    @property
    def environment(self) -> dict[str, str]:
        """How a store finds it, through the link."""
        return {
            "AWS_ENDPOINT_URL": f"http://{LOCALHOST}:{self.link.port}",
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "tests",
            "AWS_REGION": "us-east-1",
        }

    def go_away(self) -> None:
        """From now on no connection comes through, and those that are there end."""
        self.stand_alone()
        self.proxy.cut(self.link)

    def stand_alone(self) -> None:
        """From now on no new connection comes through."""
        self.link.target = NOBODY

    def come_back(self) -> None:
        """All is well again."""
        self.link.target = self.port

    def hold_answers(self) -> None:
        """From now on the server hears, and is not heard."""
        self.proxy.hold(self.link, ANSWERS)

    def let_answers(self) -> None:
        """Let them pass again."""
        self.proxy.hold(self.link)

    def put(self, sha256: str, data: bytes) -> None:
        """Write an object, whatever its name says."""
        obstore.put(self._direct, _key(sha256), data)

    def get(self, sha256: str) -> bytes | None:
        """An object's bytes; None where there is none."""
        try:
            return bytes(obstore.get(self._direct, _key(sha256)).bytes())
        except FileNotFoundError:
            return None

    @property
    def _direct(self) -> S3Store:
        name, _, prefix = self.url.removeprefix("s3://").partition("/")
        return S3Store(
            name,
            prefix=prefix,
            endpoint=f"http://{LOCALHOST}:{self.port}",
            access_key_id="tests",
            secret_access_key="tests",
            client_options={"allow_http": True},
        )


def _key(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256}"


@contextmanager
def serving(processes: Processes, log: Path) -> Iterator[Bucket]:
    """A server of its own, with an empty bucket."""
    port = free_port()
    command = Command(
        "S3 server", [sys.executable, "-m", "moto.server", "-H", LOCALHOST, "-p", str(port)]
    )
    child, proxy = processes.start(command, log), Proxy()
    try:
        with httpx.Client(base_url=f"http://{LOCALHOST}:{port}", trust_env=False) as direct:
            wait_for(lambda: _answers(direct), _SOON_S)
            direct.put("/tapestry").raise_for_status()
            link = proxy.link("bucket", port)
            yield Bucket("s3://tapestry/artifacts", proxy, link, port)
    finally:
        proxy.close()
        processes.stop(child)


def _answers(http: httpx.Client) -> bool:
    try:
        return http.get("/").is_success
    except httpx.TransportError:
        return False
