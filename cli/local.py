"""`tapestry up`, `down` and `demo`: the local stack, and what it can show."""

import time
from pathlib import Path
from typing import Annotated

import typer

from cli.connection import LOCAL_STATE
from cli.demo import run as demo_run
from cli.output import console, say
from cli.signals import ending_on_signals
from cli.stack import detached, running
from cli.stack.keeper import Keeper
from cli.stack.processes import Processes
from cli.stack.settings import StackSettings, client_files
from cli.stack.stack import Stack

State = Annotated[Path, typer.Option(help="Where the stack keeps its state.")]


def up(
    clients: Annotated[
        Path | None, typer.Option(help="Directory of client directories to host.")
    ] = None,
    state: State = LOCAL_STATE,
    port: Annotated[int | None, typer.Option(help="Port of the API.", min=1, max=65535)] = None,
    workers: Annotated[int, typer.Option(help="Worker processes.", min=1)] = 2,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65000,
            envvar="TAPESTRY_METRICS_PORT",
            help="Port of the coordinator's metrics; planner and workers take the next ones.",
        ),
    ] = None,
    detach: Annotated[
        bool,
        typer.Option("--detach", help="Return once it is ready; `tapestry down` ends it."),
    ] = False,
) -> None:
    """Start the local stack in the foreground, until Ctrl-C."""
    files = client_files(clients) if clients else ()
    settings = StackSettings(
        state, state / "logs", files, port=port, n_workers=workers, metrics_port=metrics_port
    )
    if detach:
        with ending_on_signals():
            say(detached.start(settings, clients))
        return
    with (
        ending_on_signals(),
        Processes() as processes,
        Stack(processes, settings, say) as stack,
        Keeper(processes, say) as keeper,
    ):
        say(f"API at {stack.url}, keys in {stack.admin_key_file.parent}, Ctrl-C ends it")
        awaited = bool(stack.settings.clients)
        while True:
            keeper.check()
            if awaited and stack.all_there():
                awaited = False
                say(f"{detached.THERE}{', '.join(stack.settings.clients)}")
            time.sleep(0.2)


def down(state: State = LOCAL_STATE) -> None:
    """End the local stack that was started from this directory, and wait until all is gone."""
    if running.end(state):
        say(f"the stack with the state in {state} has ended")
    else:
        say(f"no stack runs with the state in {state}")


def demo(
    state: Annotated[Path, typer.Option(help="Where the report and the cache lie.")] = Path(
        ".tapestry"
    ),
) -> None:
    """Run three algorithms on the same federation and compare them."""
    with ending_on_signals():
        demo_run.run(console(), state)
