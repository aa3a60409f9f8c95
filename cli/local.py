"""`tapestry up`, `down` and `demo`: the local stack, and what it can show."""

import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from cli.connection import LOCAL_STATE, STATE_VARIABLE, note
from cli.demo import run as demo_run
from cli.demo.preparing import clients_of
from cli.exits import UsageError
from cli.options import Json
from cli.output import console, print_data, say, warn
from cli.signals import ending_on_signals
from cli.stack import detached, running
from cli.stack.keeper import Keeper
from cli.stack.processes import Processes
from cli.stack.settings import StackSettings, client_files
from cli.stack.stack import Stack
from shared.terminal import escaped

State = Annotated[
    Path, typer.Option(help="Where the stack keeps its state.", envvar=STATE_VARIABLE)
]
_CACHE = LOCAL_STATE.parent / "cache"  # what `tapestry demo` has made there is not made again


def up(
    clients: Annotated[
        Path | None, typer.Option(help="Directory of client directories to host.")
    ] = None,
    demo: Annotated[
        bool,
        typer.Option("--demo", help="Host the demonstration's clients, whose data are made here."),
    ] = False,
    state: State = LOCAL_STATE,
    port: Annotated[int | None, typer.Option(help="Port of the API.", min=1, max=65535)] = None,
    workers: Annotated[int, typer.Option(help="Worker processes.", min=1, max=256)] = 2,
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
    json: Annotated[
        bool, typer.Option("--json", help="With --detach, print JSON, and nothing else.")
    ] = False,
) -> None:
    """Start the local stack in the foreground, until Ctrl-C."""
    if demo and clients is not None:
        raise UsageError("--demo hosts clients of its own: leave it or --clients out")
    if json and not detach:
        raise UsageError("--json is of a stack that is ready: add --detach, or leave it out")
    with ending_on_signals():
        if demo:
            warn("preparing the demonstration's data (44 MB are downloaded the first time)")
            clients = clients_of(state, _CACHE)
        files = client_files(clients) if clients else ()
        settings = StackSettings(
            state, state / "logs", files, port=port, n_workers=workers, metrics_port=metrics_port
        )
        if not detach:
            _serve(settings)
        log = detached.start(settings, clients)
    _tell(settings, log, json=json)


def _serve(settings: StackSettings) -> NoReturn:
    """The stack in this process, until a signal or a StackError ends it."""
    with (
        Processes() as processes,
        Stack(processes, settings, say) as stack,
        Keeper(processes, say) as keeper,
    ):
        keys = stack.admin_key_file.parent
        say(f"API at {stack.url}, keys in {keys}, Ctrl-C ends it{_elsewhere(settings.state)}")
        awaited = bool(stack.settings.clients)
        while True:
            keeper.check()
            if awaited and stack.all_there():
                awaited = False
                say(f"{detached.THERE}{', '.join(stack.settings.clients)}")
            time.sleep(0.2)


def _tell(settings: StackSettings, log: Path, *, json: bool) -> None:
    """Say of a stack in the background where it is, and what ends it."""
    state, there = settings.state, note(settings.state)
    url, key_file = there.get("url"), there.get("key_file")
    if json:
        clients = sorted(settings.clients)
        told = {"url": url, "key_file": key_file, "clients": clients, "state": str(state)}
        print_data({**told, "log": str(log)})
    else:
        keys = state / "keys"
        end = f"`tapestry down` ends it{_elsewhere(state)}; its log is {log}"
        say(f"API at {url}, keys in {keys}; {end}")


def _elsewhere(state: Path) -> str:
    """How other commands find a stack whose state they would not look for."""
    if state == LOCAL_STATE:
        return ""
    return f", other commands find it by {STATE_VARIABLE}={state.resolve()}"


def down(state: State = LOCAL_STATE, json: Json = False) -> None:
    """End the local stack with that state, and wait until all is gone."""
    ended = running.end(state)
    if json:
        print_data({"state": str(state), "ended": ended})
    elif ended:
        say(f"the stack with the state in {state} has ended")
    else:
        say(f"no stack runs with the state in {state}")


def demo(
    state: Annotated[Path, typer.Option(help="Where the report and the cache lie.")] = Path(
        ".tapestry"
    ),
    json: Json = False,
) -> None:
    """Run three algorithms on the same federation and compare them."""
    with ending_on_signals():
        report = demo_run.run(console(beside=json), state)
    if json:
        say(escaped(report.read_text(encoding="utf-8").rstrip()))
