"""`tapestry keys`: who may call the API. A key is shown once, where it is asked for."""

import re
import uuid
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Annotated

import typer

from cli import key_files, listing
from cli.connection import Connection
from cli.exits import FailedError, UsageError
from cli.options import Expires, Json, Key, KeyFile, Url, client_name
from cli.output import console, print_json, say
from cli.sentences import Sentences
from shared.api_client import ApiClient
from shared.keys import ClientKeyCreate, KeyCreate, KeyCreated, KeyList, KeyScope

app = typer.Typer(
    cls=Sentences, name="keys", help="Make, list and revoke the keys of the API (admin keys only)."
)
_PREFIX = re.compile("[0-9a-f]{8}")


@app.command("list")
def list_keys(
    everything: Annotated[
        bool, typer.Option("--all", help="With those that are revoked or have expired.")
    ] = False,
    client: Annotated[
        str | None, typer.Option(parser=client_name, metavar="TEXT", help="Of this client.")
    ] = None,
    json: Json = False,
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
) -> None:
    """List the keys by their prefixes: scope, age, and whether they are used."""
    with Connection(url, key, key_file).open() as api:
        found = api.keys(client, live=not everything)
    if json:
        print_json(KeyList(items=tuple(found)), leaving_out={"next"})
    else:
        console().print(listing.keys_table(sorted(found, key=lambda each: each.created_at)))


@app.command()
def create(
    scope: Annotated[KeyScope | None, typer.Option(help="What the key may do.")] = None,
    client: Annotated[
        str | None,
        typer.Option(
            parser=client_name,
            metavar="TEXT",
            help="Or for this client: its second, to change over to.",
        ),
    ] = None,
    expires: Expires = None,
    out: key_files.Out = None,
    json: Json = False,
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
) -> None:
    """Make a key and print it, this once; or write it to a file."""
    if (scope is None) == (client is None):
        raise UsageError("say whose key it is: pass --scope, or --client for a client's")
    with _asking(Connection(url, key, key_file), client) as api:
        if out is None:
            made = _made(api, scope, client, expires)
        else:
            with key_files.new(out) as file:
                made = _made(api, scope, client, expires)
                _write(api, made, file, out)
    key_files.tell(made, out, f"key {made.prefix} is in {out}", json=json)


@app.command()
def revoke(
    prefix: Annotated[str, typer.Argument(help="What stands between tap_ and the next _.")],
    json: Json = False,
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
) -> None:
    """Revoke a key: the next request with it is refused."""
    if _PREFIX.fullmatch(prefix) is None:
        raise UsageError("that is no key's prefix: take one that `tapestry keys list` shows")
    where = Connection(url, key, key_file)
    with where.naming(f"key {prefix}", "tapestry keys list --all") as api:
        revoked = api.revoke_key(prefix)
    if json:
        print_json(revoked)
    else:
        say(f"key {prefix} is revoked")


def _asking(where: Connection, client: str | None) -> AbstractContextManager[ApiClient]:
    return where.open() if client is None else where.naming(f"client {client}", "tapestry clients")


def _made(
    api: ApiClient, scope: KeyScope | None, client: str | None, expires: Expires
) -> KeyCreated:
    name = str(uuid.uuid4())
    if client is not None:
        return api.create_client_key(client, ClientKeyCreate(lifetime=expires), name)
    assert scope is not None  # noqa: S101 - one of both is there
    return api.create_key(KeyCreate(scope=scope, lifetime=expires), name)


def _write(api: ApiClient, made: KeyCreated, file: IO[str], path: Path) -> None:
    """Write the key down. Raises FailedError, and revokes it, where that is impossible."""
    try:
        key_files.write(file, made.key)
    except OSError as error:
        api.revoke_key(made.prefix)
        raise FailedError(
            f"{path} cannot be written ({error.strerror}) and the new key is revoked: free some "
            "disk space and make another"
        ) from error
