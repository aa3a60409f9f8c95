"""The `tapestry` command: all commands put together. Each parses, calls and prints."""

from importlib.metadata import version
from typing import Annotated

import typer

from cli import (
    benefiting,
    forking,
    hosting,
    keys,
    local,
    mlflow_sink,
    opening,
    operating,
    reading,
    registering,
    results,
    shelf,
    takeaway,
    watching,
)
from cli.output import say
from cli.sentences import Sentences

app = typer.Typer(
    cls=Sentences,
    help="Personalized federated fine-tuning as a service.",
    pretty_exceptions_enable=False,
)


def _say_version(asked: bool) -> None:
    if asked:
        say(f"tapestry {version('tapestry-fl')}")
        raise typer.Exit


@app.callback()
def tapestry(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_say_version, is_eager=True, help="Print the version and end."
        ),
    ] = False,
) -> None:
    """Personalized federated fine-tuning as a service."""


_COMMANDS = (
    local.up,
    local.down,
    local.demo,
    opening.page,
    operating.submit,
    watching.watch,
    reading.why,
    reading.jobs,
    reading.rounds,
    reading.report,
    benefiting.benefits,
    reading.compare,
    results.results,
    mlflow_sink.mlflow,
    operating.pause,
    operating.resume,
    operating.cancel,
    forking.fork,
    forking.distil,
    forking.onboard,
    reading.clients,
    registering.register,
    hosting.doctor,
    hosting.worker,
    takeaway.export,
    takeaway.predict,
)
for command in _COMMANDS:
    app.command()(command)
app.add_typer(keys.app)
app.add_typer(shelf.app)
