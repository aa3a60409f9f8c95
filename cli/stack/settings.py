"""What the local stack is asked to be, and the environment that its processes get."""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from cli.stack import ports
from cli.stack.errors import ClientFileError, StackError
from shared.spec_files import NO_YAML

NEEDED_BYTES = 500_000_000


@dataclass(frozen=True)
class StackSettings:
    """A local stack: where it keeps its state, which clients it plays, where it listens."""

    state: Path
    logs: Path
    client_files: tuple[Path, ...] = ()
    host: str = ports.LOCALHOST
    port: int | None = None  # any free one
    durable: bool = True
    n_workers: int = 2
    metrics_port: int | None = None  # of the coordinator; planner and workers take the next ones
    clients: Mapping[str, Path] = field(init=False)

    def __post_init__(self) -> None:
        """Read the clients' names. Raises ClientFileError for a file without, or a double one."""
        object.__setattr__(self, "clients", by_name(self.client_files))

    def check(self) -> None:
        """Raises StackError for what would only fail later: a full disk, a port in use."""
        free = shutil.disk_usage(self.state).free
        if free < NEEDED_BYTES:
            raise StackError(
                f"{self.state} has {free / 1e6:.0f} MB of free disk and the stack needs "
                f"{NEEDED_BYTES / 1e6:.0f}: free some, or choose another --state"
            )
        if self.port is not None and not ports.is_free(self.host, self.port):
            raise StackError(
                f"port {self.port} of {self.host} is in use: end the program that listens there, "
                "or choose another --port"
            )

    def shares(self) -> list[dict[str, Path]]:
        """The clients, dealt out to the worker processes; none is empty."""
        names = sorted(self.clients)
        count = min(self.n_workers, len(names))
        return [{name: self.clients[name] for name in names[i::count]} for i in range(count)]


def by_name(files: Iterable[Path]) -> dict[str, Path]:
    """Client files by their names. Raises ClientFileError for one without, or a double one."""
    clients: dict[str, Path] = {}
    for path in files:
        name = client_name(path)
        if "," in str(path):
            raise ClientFileError(f"{path} has a comma in its path: move the clients elsewhere")
        if name in clients:
            raise ClientFileError(f"{path} and {clients[name]} both are client {name}: rename one")
        clients[name] = path
    return clients


def client_name(path: Path) -> str:
    """The client that a client file describes. Raises ClientFileError."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, *NO_YAML) as error:
        raise ClientFileError(
            f"the client file {path} cannot be read ({error}): correct it"
        ) from error
    name = data.get("client") if isinstance(data, dict) else None
    if not isinstance(name, str):
        raise ClientFileError(f"the client file {path} names no client: add a line `client: NAME`")
    return name


def client_files(directory: Path) -> tuple[Path, ...]:
    """The client files of a directory: NAME/client.yaml, or NAME.yaml. Raises ClientFileError."""
    found = sorted(directory.glob("*/client.yaml")) or sorted(directory.glob("*.yaml"))
    if not found:
        raise ClientFileError(
            f"{directory} holds no client: expected {directory}/NAME/client.yaml or "
            f"{directory}/NAME.yaml files"
        )
    return tuple(found)
