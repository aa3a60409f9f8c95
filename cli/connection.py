"""Which API the command line talks to, and with which key."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from cli.exits import FailedError, UsageError
from shared.api_client import ApiClient
from shared.problem_codes import Code
from shared.transport import ApiError

LOCAL_STATE = Path(".tapestry") / "local"
STATE_VARIABLE = "TAPESTRY_STATE"  # names the state of a stack that keeps it elsewhere
PATIENCE_S = 8.0  # for an API that is started again while a command asks
_LONGEST_KEY = 1000


@dataclass(frozen=True)
class Connection:
    """What the options and the environment say; what is absent comes from the local stack."""

    url: str | None
    key: str | None
    key_file: Path | None

    def open(self, patience_s: float | None = None) -> ApiClient:
        """A client of the API. Raises UsageError when nobody said where it is."""
        local = self._local()
        address, key = self._address(local), self._secret(local)
        return ApiClient(address, key, PATIENCE_S if patience_s is None else patience_s)

    @contextmanager
    def about(
        self, job: UUID, *others: UUID | None, patience_s: float | None = None
    ) -> Iterator[ApiClient]:
        """The same, for what is asked of a job, beside others. FailedError where one is missing."""
        with self.open(patience_s) as api:
            try:
                yield api
            except ApiError as error:
                for each in filter(None, (job, *others)):
                    if _lacks(api, each, error):
                        raise FailedError(
                            f"there is no job {each} at {api.url}: choose one that `tapestry jobs` "
                            "lists"
                        ) from error
                raise

    @contextmanager
    def naming(self, what: str, listed_by: str) -> Iterator[ApiClient]:
        """The same, for what is asked of `what`. Raises FailedError when there is none."""
        with self.open() as api:
            try:
                yield api
            except ApiError as error:
                if error.problem.code != Code.NOT_FOUND:
                    raise
                raise FailedError(
                    f"there is no {what} at {api.url}: choose one that `{listed_by}` lists"
                ) from error

    def of_worker(self, keys_dir: Path | None) -> dict[str, str]:
        """The same for a worker, as its environment: its keys are those of clients or a planner.

        Raises UsageError.
        """
        local = self._local()
        address = {"TAPESTRY_API_URL": self._address(local)}
        if keys_dir is None and (self.key or self.key_file):
            return {**address, "TAPESTRY_KEY": self._secret(local)}
        if keys_dir is None and "key_file" in local:
            keys_dir = Path(local["key_file"]).parent
        if keys_dir is None:
            raise UsageError(
                "no key is known: pass --keys-dir with a NAME.key for each client, or one client's "
                "key by --key-file"
            )
        return {**address, "TAPESTRY_KEYS_DIR": str(keys_dir)}

    def _local(self) -> dict[str, str]:
        """What `tapestry up` wrote down here; nothing where another API is asked."""
        found = _local_stack()
        same = self.url is None or self.url.rstrip("/") == found.get("url")
        return found if same else {}

    def _address(self, local: Mapping[str, str]) -> str:
        url = self.url or local.get("url")
        if not url:
            raise UsageError(
                "no API is known: start one here with `tapestry up`, name the state of another "
                f"stack by {STATE_VARIABLE}, or pass --url and --key-file"
            )
        return checked_address(url)

    def _secret(self, local: Mapping[str, str]) -> str:
        if self.key:
            return _checked_key(self.key, "TAPESTRY_KEY")
        path = self.key_file or local.get("key_file")
        if path is None:
            raise UsageError("no key is known: pass --key-file, or set TAPESTRY_KEY")
        return _read_key(Path(path))


def checked_address(url: str, option: str = "--url") -> str:
    """The address, if requests can be sent there."""
    try:
        found = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise UsageError(f"{url!r} is no address ({error}): correct {option}") from error
    if found.scheme not in {"http", "https"} or not found.host:
        raise UsageError(f"{url!r} is no address of an API: write http://HOST:PORT or https://HOST")
    return url


def _lacks(api: ApiClient, job: UUID, error: ApiError) -> bool:
    """Whether the job itself is what the API did not find, and not, say, one of its rounds."""
    if error.problem.code != Code.NOT_FOUND:
        return False
    try:
        api.job(job)
    except ApiError as again:
        return again.problem.code == Code.NOT_FOUND
    return False


@dataclass(frozen=True)
class LocalClient:
    """Where the local stack has what is a client's."""

    file: Path
    work_dir: Path


def local_client(name: str) -> LocalClient:
    """A client of the local stack. Raises UsageError."""
    clients = note(_state()).get("clients")
    if not isinstance(clients, dict):
        raise UsageError(
            "no stack runs here: start it with `tapestry up`, name the state of another stack by "
            f"{STATE_VARIABLE}, or pass --client-file, --work-dir, --url and --key-file"
        )
    if name not in clients:
        known = ", ".join(sorted(clients)) or "none"
        raise UsageError(f"the stack here has no client {name}: choose one of its own ({known})")
    return LocalClient(Path(clients[name]["file"]), Path(clients[name]["work_dir"]))


def _local_stack() -> dict[str, str]:
    """What `tapestry up` wrote down here; empty when it does not run."""
    return {name: value for name, value in note(_state()).items() if isinstance(value, str)}


def _state() -> Path:
    """Where the stack that these commands ask keeps its state."""
    return Path(os.environ.get(STATE_VARIABLE) or LOCAL_STATE)


def note(state: Path) -> dict[str, Any]:
    """What the stack with that state has written down; empty when it does not run."""
    try:
        found = json.loads((state / "stack.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _read_key(path: Path) -> str:
    try:
        with path.open("rb") as file:
            found = file.read(_LONGEST_KEY + 1)
    except OSError as error:
        raise UsageError(
            f"the key file {path} cannot be read ({error.strerror}): check --key-file"
        ) from error
    return _checked_key(found.decode("latin-1"), f"the key file {path}")


def _checked_key(text: str, where: str) -> str:
    """The key, if it can be one. What it is instead is not told: it may be another secret."""
    key = text.strip()
    if not key or len(key) > _LONGEST_KEY or not all("!" <= each <= "~" for each in key):
        raise UsageError(f"{where} holds no key: give it the one line that begins with tap_")
    return key
