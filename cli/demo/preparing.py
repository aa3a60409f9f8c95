"""The demonstration's clients: made once on this machine, for its jobs and for `up --demo`."""

import sys
from pathlib import Path

import cli
from cli.stack import private
from cli.stack.errors import StackError
from cli.stack.processes import Command, Processes

EXAMPLE = Path(cli.__file__).resolve().parents[1] / "examples" / "demo"
_WITHIN_S = 900.0


def prepare(processes: Processes, target: Path, cache: Path, log: Path) -> Path:
    """Make the clients' data in a process of its own; at once where they are. Raises StackError."""
    if not EXAMPLE.is_dir():
        raise StackError(
            f"the demonstration's data are made by {EXAMPLE}, which is not there: run the command "
            "of a clone of the repository"
        )
    arguments: list[str | Path] = [sys.executable, EXAMPLE / "prepare.py"]
    arguments += ["--out", target, "--cache", cache]
    processes.run(Command("preparing the data", arguments), log, _WITHIN_S)
    return target


def clients_of(state: Path, cache: Path) -> Path:
    """The directory of clients for the stack with that state. Raises StackError."""
    logs = private.directory(private.directory(state) / "logs")
    with Processes() as processes:
        return prepare(processes, state / "demo-clients", cache, logs / "prepare.log")
