"""`tapestry shelf`: clients' personal models that a job has the server keep for them alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cli import listing
from cli.connection import Connection, local_client
from cli.exits import UsageError
from cli.options import Job, Json, Key, KeyFile, Url
from cli.output import console, print_json, say
from cli.sentences import Sentences
from cli.signals import ending_on_signals
from cli.takeaway import Client, run_worker
from shared.shelf_spec import key_file as shelf_key_file

app = typer.Typer(
    cls=Sentences, name="shelf", help="Clients' personal models that the server keeps for them."
)
_PART = "worker.shelf"
ClientName = Annotated[
    str | None, typer.Option(help="A client of the stack that was started here.")
]
ClientFile = Annotated[Path | None, typer.Option(help="The client's file.")]
WorkDir = Annotated[
    Path | None, typer.Option(help="What the client's worker keeps.", envvar="TAPESTRY_WORK_DIR")
]
ShelfKey = Annotated[
    Path | None,
    typer.Option(
        help="The client's shelf key; by default beside the work directory.",
        envvar="TAPESTRY_SHELF_KEY_FILE",
    ),
]


@app.command("list")
def list_models(
    job: Job, json: Json = False, url: Url = None, key_file: KeyFile = None, key: Key = None
) -> None:
    """Show whose personal model is there, and how large; with a client's key its own."""
    with Connection(url, key, key_file).about(job) as api:
        found = api.shelf(job)
    if json:
        print_json(found)
    elif found.items:
        console().print(listing.shelf_table(found.items))
    else:
        say(f"the job asks for no personal models: its spec says shelf: {found.asked}")


@app.command()
def get(
    job: Job,
    client: ClientName = None,
    client_file: ClientFile = None,
    work_dir: WorkDir = None,
    shelf_key: ShelfKey = None,
    json: Json = False,
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
) -> None:
    """Get a client's model back below a work directory that no worker uses.

    `tapestry export` and workers find it there as if it had never been away.
    """
    whose = Client(client, client_file, work_dir)
    words = ["get", str(job), *(["--json"] if json else [])]
    _at_the_client(words, whose, shelf_key, Connection(url, key, key_file))


@app.command()
def put(
    job: Job,
    client: ClientName = None,
    client_file: ClientFile = None,
    work_dir: WorkDir = None,
    shelf_key: ShelfKey = None,
    json: Json = False,
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
) -> None:
    """Put a client's model there now; its worker does so when stage two is done."""
    whose = Client(client, client_file, work_dir)
    words = ["put", str(job), *(["--json"] if json else [])]
    _at_the_client(words, whose, shelf_key, Connection(url, key, key_file))


def _at_the_client(
    words: Sequence[str], whose: Client, shelf_key: Path | None, connection: Connection
) -> None:
    told = whose.environment(connection)
    if shelf_key is None and whose.name is not None and whose.file is None:
        # Of the stack's own directory, also where the model is to go to another one.
        shelf_key = shelf_key_file(local_client(whose.name).work_dir, whose.name)
    if shelf_key is not None:
        told["TAPESTRY_SHELF_KEY_FILE"] = str(shelf_key)
    with ending_on_signals():
        run_worker(_PART, words, told)


@app.command()
def delete(
    job: Job,
    client: ClientName = None,
    everything: Annotated[
        bool, typer.Option("--all", help="The models of all clients; needs an operator's key.")
    ] = False,
    json: Json = False,
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
) -> None:
    """Delete a client's model from the server, with that client's key; it cannot be had back."""
    if everything and client is not None:
        raise UsageError("--all is of all clients: leave it or --client out")
    with _as(client, Connection(url, key, key_file)).about(job) as api:
        if not everything and api.whoami().client is None:
            raise UsageError(
                "that is no client's key: pass a client's by --key-file or --client, or --all"
            )
        gone = api.clear_shelf(job)
    if json:
        print_json(gone)
    else:
        whose = f"of {', '.join(gone.clients)}, {gone.n_bytes} bytes" if gone.clients else "of none"
        say(f"deleted from the shelf of job {job}: the models {whose}")


def _as(client: str | None, given: Connection) -> Connection:
    """The connection, with the key of a client of the stack that was started here if named."""
    if client is None:
        return given
    local_client(client)
    keys_dir = given.of_worker(None).get("TAPESTRY_KEYS_DIR")
    if keys_dir is None:
        raise UsageError("a key is given beside --client: leave one of both out")
    return Connection(given.url, None, Path(keys_dir) / f"{client}.key")
