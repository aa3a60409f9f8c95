"""`tapestry export` and `tapestry predict`: the worker's packages do the work, in their process."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from cli.connection import Connection, local_client
from cli.exits import PartError, UsageError
from cli.options import Job, Json, Key, KeyFile, Url
from cli.signals import ending_on_signals
from cli.stack.settings import by_name
from cli.worker import TOLD_HERE, need_packages
from shared.exits import ExitCode
from shared.results import Variant

_END_WITHIN_S = 10.0
_PART = "worker.takeaway"
WORK_DIR = Path(".tapestry/worker")


@dataclass(frozen=True)
class Client:
    """Whose model is exported: by a client file, or by the name of one of the local stack."""

    name: str | None
    file: Path | None
    work_dir: Path | None

    def environment(self, connection: Connection) -> dict[str, str]:
        """What the client's worker is told. Raises UsageError, StackError."""
        if self.file is not None:
            file, work_dir = self.file, self.work_dir or WORK_DIR
        elif self.name is None:
            raise UsageError("name the client by --client-file, or by --client in a stack's place")
        else:
            found = local_client(self.name)
            file, work_dir = found.file, self.work_dir or found.work_dir
        (name,) = by_name([file])
        if self.name not in {None, name}:
            raise UsageError(f"{file} is of client {name}, not {self.name}: leave one of both out")
        return {
            **connection.of_worker(None),
            "TAPESTRY_CLIENT_FILES": str(file),
            "TAPESTRY_WORK_DIR": str(work_dir),
        }


def export(
    job: Job,
    out: Annotated[Path, typer.Option(help="Directory to be made.")],
    client: Annotated[
        str | None, typer.Option(help="A client of the stack that was started here.")
    ] = None,
    client_file: Annotated[Path | None, typer.Option(help="The client's file.")] = None,
    work_dir: Annotated[
        Path | None,
        typer.Option(help="What the client's worker keeps.", envvar="TAPESTRY_WORK_DIR"),
    ] = None,
    variant: Annotated[
        Variant | None,
        typer.Option(help="Which model; by default the guarded, or the newest personal one."),
    ] = None,
    without_base: Annotated[
        bool, typer.Option("--without-base", help="Leave the frozen base out.")
    ] = False,
    json: Json = False,
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
) -> None:
    """Take a client's model away: a directory with weights, base, and a model card."""
    whose = Client(client, client_file, work_dir)
    told = whose.environment(Connection(url, key, key_file))
    options = _options(out=out, variant=variant, without_base=without_base, json=json)
    with ending_on_signals():
        run_worker(_PART, ["export", *options, "--", str(job)], told)


def predict(
    directory: Annotated[Path, typer.Argument(help="What `tapestry export` wrote.")],
    task: Annotated[str | None, typer.Option(help="Needed if the model has several.")] = None,
    image: Annotated[Path | None, typer.Option(help="An image file.")] = None,
    text: Annotated[str | None, typer.Option(help="A text, such as a question.")] = None,
    domain: Annotated[str | None, typer.Option(help="Needed if the task has several.")] = None,
    beams: Annotated[
        int | None, typer.Option(help="Beams of a generated text.", min=1, max=100)
    ] = None,
    rows: Annotated[
        Path | None, typer.Option(help="Many samples: a JSON object in each line.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where a generated image goes; with --rows a directory.")
    ] = None,
    base: Annotated[str | None, typer.Option(help="The base, if it was left out.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Ask an exported model; neither a job nor the network is needed."""
    sample = _options(image=image, text=text, domain=domain, rows=rows)
    how = _options(task=task, beams=beams, out=out, base=base, json=json)
    with ending_on_signals():
        run_worker(_PART, ["predict", *sample, *how, "--", str(directory)])


def run_worker(
    module: str, arguments: Sequence[str], told: Mapping[str, str] | None = None
) -> None:
    """Run a part of the worker's, which prints. Raises PartError with what it ended with."""
    need_packages()
    kept = {name: value for name, value in os.environ.items() if name not in TOLD_HERE}
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env={**kept, **(told or {})},
        stderr=subprocess.PIPE,
    ) as child:
        try:
            _, said = child.communicate()
        except BaseException:
            _end(child)
            raise
    if child.returncode:
        raise part_error(said, child.returncode)


def part_error(said: bytes, status: int) -> PartError:
    """What a part of the worker's ended with: its last line, and the code of its kind."""
    lines = said.decode(errors="replace").strip().splitlines()
    known = status in set(ExitCode)
    return PartError(
        lines[-1] if lines else "it ended without a word: try again",
        ExitCode(status) if known else ExitCode.FAILED,
    )


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Have it remove what it has begun, and end."""
    child.terminate()
    try:
        child.wait(_END_WITHIN_S)
    except subprocess.TimeoutExpired:
        child.kill()


def _options(**values: object) -> list[str]:
    """`name=value` for the worker's part; what is absent is left out, True is a flag."""
    found = []
    for name, value in values.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            found.append(option)
        elif value is not None and value is not False:
            found.append(f"{option}={value}")
    return found
