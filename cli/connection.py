"""Which API the command line talks to, and with which key."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.api_client import ApiClient

LOCAL_STATE = Path(".tapestry") / "local"


class UsageError(Exception):
    """The command cannot be carried out as given; the text is one sentence with the remedy."""


@dataclass(frozen=True)
class Connection:
    """What the options and the environment say; what is absent comes from the local stack."""

    url: str | None
    key: str | None
    key_file: Path | None

    def open(self) -> ApiClient:
        """A client of the API. Raises UsageError when nobody said where it is."""
        local = {} if self.url and (self.key or self.key_file) else _local_stack()
        url = self.url or local.get("url")
        if not url:
            raise UsageError(
                "no API is known: start one here with `tapestry up`, or pass --url and --key-file"
            )
        return ApiClient(url, self.key or self._stored_key(local))

    def _stored_key(self, local: Mapping[str, str]) -> str:
        path = self.key_file or local.get("key_file")
        if path is None:
            raise UsageError("no key is known: pass --key-file, or set TAPESTRY_KEY")
        return _read_key(Path(path))


def _local_stack() -> dict[str, str]:
    """What `tapestry up` wrote down in this directory; empty when it does not run."""
    try:
        note = json.loads((LOCAL_STATE / "stack.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: str(value) for name, value in note.items()}


def _read_key(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UsageError(
            f"the key file {path} cannot be read ({error.strerror}): check --key-file"
        ) from error
