"""`tapestry worker` and `tapestry doctor`: for whoever holds clients' data."""

from pathlib import Path
from typing import Annotated

import typer

from cli import doctor as examining
from cli.connection import Connection
from cli.options import Json, Key, KeyFile, Url
from cli.output import console, print_json
from cli.worker import WorkerWish, become
from shared.exits import ExitCode


def worker(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Client files: the clients to serve.")
    ] = None,
    planner: Annotated[bool, typer.Option("--planner", help="Plan jobs instead.")] = False,
    no_broker: Annotated[
        bool, typer.Option("--no-broker", help="Only poll, even if TAPESTRY_REDIS_URL is set.")
    ] = False,
    work_dir: Annotated[
        Path,
        typer.Option(help="Cache and personal states: keep it.", envvar="TAPESTRY_WORK_DIR"),
    ] = Path(".tapestry/worker"),
    keys_dir: Annotated[
        Path | None, typer.Option(help="Directory of NAME.key.", envvar="TAPESTRY_KEYS_DIR")
    ] = None,
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
) -> None:
    """Serve clients (or plan jobs) for an API until told to stop."""
    wish = WorkerWish(tuple(files or ()), planner, not no_broker, work_dir, keys_dir)
    become(wish, Connection(url, key, key_file))


def doctor(
    files: Annotated[list[Path], typer.Argument(help="Client files.")],
    job: Annotated[Path | None, typer.Option(help="The spec of a job to join.")] = None,
    json: Json = False,
) -> None:
    """Check client files and their data before anything trains; nothing is sent.

    Ends with status 1 where something must be done first.
    """
    found = examining.examined(files, job)
    if json:
        print_json(found)
    else:
        for card in found.cards:
            console().print(examining.table(card))
            for finding in card.findings:
                console().print(f"{finding.severity}: {finding.sentence}", soft_wrap=True)
    if not found.sound:
        raise typer.Exit(ExitCode.FAILED)
