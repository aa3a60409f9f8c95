"""Makes the keys that the containers lack: the operator's, the planner's, and one for each client.

The database keeps hashes only, so a new key is written down at once, in a file that only its
reader's container mounts. What has its file is left as it is: running this again is free.
"""

import os
import subprocess
import sys
from pathlib import Path

from shared.api_client import ApiClient
from shared.transport import ApiError
from shared.views import ClientCreate


class KeysError(Exception):
    """A key cannot be had; the text is one sentence that says what to do."""


def main() -> None:
    """Make what is missing below TAPESTRY_KEYS_DIR, for the clients of TAPESTRY_CLIENT_FILES."""
    keys = Path(os.environ["TAPESTRY_KEYS_DIR"])
    try:
        clients = client_names(os.environ["TAPESTRY_CLIENT_FILES"])
        admin = keys / "operator" / "admin.key"
        create(admin, "admin")
        create(keys / "planner" / "planner.key", "planner")
        with ApiClient(os.environ["TAPESTRY_API_URL"], admin.read_text("ascii").strip()) as api:
            register(api, clients, keys / "clients")
    except (KeysError, ApiError, OSError) as error:
        sys.exit(f"keys: {error}")


def client_names(files: str) -> list[str]:
    """The clients of `/clients/NAME/client.yaml,...`; this container does not see their data.

    `none` stands for no client: they are all elsewhere.

    Raises KeysError for a path of another form.
    """
    paths = [Path(file) for file in files.split(",") if file not in {"", "none"}]
    for path in paths:
        if path.name != "client.yaml" or not path.parent.name:
            raise KeysError(f"{path} is no client file: write NAME/client.yaml, NAME the client's")
    names = [path.parent.name for path in paths]
    for name in names:
        if names.count(name) > 1:
            raise KeysError(f"client {name} is given twice: let one worker host it")
    return names


def create(path: Path, scope: str) -> None:
    """Make an operator's or planner's key if it has no file. Raises KeysError."""
    if path.exists():
        return
    command = [sys.executable, "-m", "server.admin", "create-key", "--scope", scope]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise KeysError(f"no key was made for {scope}: see the line above")
    write(path, done.stdout)


def register(api: ApiClient, clients: list[str], directory: Path) -> None:
    """Register the clients that have no key file, and keep their keys. Raises KeysError."""
    known = registered(api)
    for name in clients:
        path = directory / f"{name}.key"
        if path.exists() and name not in known:
            raise KeysError(
                f"{path} is of another database: restore that, or begin anew with "
                "`docker compose down --volumes`"
            )
        if not path.exists():
            created = api.create_client(ClientCreate(id=name), f"compose-{name}")
            write(path, created.key)


def registered(api: ApiClient) -> set[str]:
    """The clients that the API knows. Raises KeysError when it refuses the operator's key."""
    try:
        return {client.id for client in api.clients()}
    except ApiError as error:
        if error.problem.status != 401:
            raise
        raise KeysError(
            "the operator's key is of another database: restore that, or begin anew with "
            "`docker compose down --volumes`"
        ) from error


def write(path: Path, key: str) -> None:
    """Write a key's file in one step, readable by its owner alone."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(key.strip() + "\n")
    new.rename(path)
    print(f"keys: {path.name} is made", flush=True)


if __name__ == "__main__":
    main()
