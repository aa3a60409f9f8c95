"""`tapestry register`: a client that may take part, and its key, which is shown once."""

import re
import uuid
from pathlib import Path
from typing import Annotated

import typer

from cli import key_files
from cli.connection import Connection
from cli.exits import FailedError, UsageError
from cli.options import Json, Key, KeyFile, Url
from cli.output import print_json, say, warn
from shared.api_client import ApiClient
from shared.components import NAME_PATTERN
from shared.views import ClientCreate, ClientCreated

_MOST_CHARACTERS = 500


def register(
    client: Annotated[str, typer.Argument(help="The client's name, as its client file has it.")],
    description: Annotated[str, typer.Option(help="Whose it is, in your words.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="File to be made for its key, for you alone to read.")
    ] = None,
    json: Json = False,
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
) -> None:
    """Register a client and print its key, this once; or write it to a file."""
    if re.fullmatch(NAME_PATTERN, client) is None:
        raise UsageError(f"{client!r} is no client's name: it must match {NAME_PATTERN}")
    if len(description) > _MOST_CHARACTERS:
        raise UsageError(f"the description may have {_MOST_CHARACTERS} characters: shorten it")
    wish = ClientCreate(id=client, description=description)
    with Connection(url, key, key_file).open() as api:
        made = _registered(api, wish, out)
    if json:
        print_json(made, leaving_out=None if out is None else {"key"})
    elif out is None:
        say(made.key)
        warn("the key is shown this once: keep it in a file of mode 0600")
    else:
        say(f"client {client} is registered, and its key is in {out}")


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
