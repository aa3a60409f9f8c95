"""`tapestry register`: a client that may take part, and its key, which is shown once."""

import uuid
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from cli import key_files
from cli.connection import Connection
from cli.exits import FailedError, UsageError
from cli.options import Json, Key, KeyFile, Url
from shared.api_client import ApiClient
from shared.spec_files import explain
from shared.views import ClientCreate, ClientCreated


def register(
    client: Annotated[str, typer.Argument(help="The client's name, as its client file has it.")],
    description: Annotated[str, typer.Option(help="Whose it is, in your words.")] = "",
    out: key_files.Out = None,
    json: Json = False,
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
) -> None:
    """Register a client and print its key, this once; or write it to a file."""
    try:
        wish = ClientCreate(id=client, description=description)
    except ValidationError as error:
        raise UsageError(f"correct it: {'; '.join(explain(ClientCreate, error))}") from error
    with Connection(url, key, key_file).open() as api:
        made = _registered(api, wish, out)
    key_files.tell(made, out, f"client {client} is registered, and its key is in {out}", json=json)


def _registered(api: ApiClient, wish: ClientCreate, out: Path | None) -> ClientCreated:
    """The new client, its key written down if asked. Raises FailedError where that is lost."""
    name = str(uuid.uuid4())
    if out is None:
        return api.create_client(wish, name)
    with key_files.new(out) as file:
        made = api.create_client(wish, name)
        try:
            key_files.write(file, made.key)
        except OSError as error:
            raise FailedError(
                f"{out} cannot be written ({error.strerror}); client {wish.id} is registered and "
                f"its key is lost: free some disk space, and have an administrator make another "
                f"(tapestry keys create --client {wish.id} --out FILE)"
            ) from error
        return made
