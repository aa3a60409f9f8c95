"""The `tapestry` command. Each command parses, calls and prints; errors are one sentence each."""

import sys
import time
import uuid
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from cli import doctor as examining
from cli import forking, listing, results, takeaway
from cli.connection import LOCAL_STATE, Connection, UsageError
from cli.demo import run as demo_run
from cli.options import Job, Key, KeyFile, Url
from cli.progress import follow
from cli.signals import Stopped, ending_on_signals
from cli.stack.errors import StackError
from cli.stack.keeper import Keeper
from cli.stack.processes import Processes
from cli.stack.settings import StackSettings, client_files
from cli.stack.stack import Stack
from cli.waiting import waiting_table
from cli.worker import WorkerWish, become
from shared import spec_files
from shared.job_spec import JobSpec
from shared.states import JobState
from shared.transport import ApiError

_WIDTH_WITHOUT_TERMINAL = 140


class Sentences(TyperGroup):
    """Turns every error that we know into one sentence on stderr and a non-zero exit."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (UsageError, StackError, ApiError, spec_files.SpecError) as error:
            print(f"tapestry: {error}", file=sys.stderr)
            raise typer.Exit(1) from error
        except Stopped as stopped:
            print("tapestry: stopped", file=sys.stderr)
            raise typer.Exit(stopped.exit_code) from stopped
        except OSError as error:
            print(f"tapestry: {error}: free some disk space or check the path", file=sys.stderr)
            raise typer.Exit(1) from error


app = typer.Typer(
    cls=Sentences,
    help="Personalized federated fine-tuning as a service.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def console() -> Console:
    """Where we print, as it is; wide where nobody's terminal says how wide.

    A job's name and a worker's sentence may hold what rich would take for markup.
    """
    plain = Console(markup=False, emoji=False)
    if not plain.is_terminal:
        plain.width = _WIDTH_WITHOUT_TERMINAL
    return plain


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    print(text, flush=True)


@app.command()
def up(
    clients: Annotated[
        Path | None, typer.Option(help="Directory of client directories to host.")
    ] = None,
    state: Annotated[Path, typer.Option(help="Where the stack keeps its state.")] = LOCAL_STATE,
    port: Annotated[int | None, typer.Option(help="Port of the API.", min=1, max=65535)] = None,
    workers: Annotated[int, typer.Option(help="Worker processes.", min=1)] = 2,
) -> None:
    """Start the local stack in the foreground, until Ctrl-C."""
    files = client_files(clients) if clients else ()
    settings = StackSettings(state, state / "logs", files, port=port, n_workers=workers)
    with (
        ending_on_signals(),
        Processes() as processes,
        Stack(processes, settings, say) as stack,
        Keeper(processes, say) as keeper,
    ):
        say(f"API at {stack.url}, keys in {stack.admin_key_file.parent}, Ctrl-C ends it")
        while True:
            keeper.check()
            time.sleep(0.2)


@app.command()
def demo(
    state: Annotated[Path, typer.Option(help="Where the report and the cache lie.")] = Path(
        ".tapestry"
    ),
) -> None:
    """Run three algorithms on the same federation and compare them."""
    with ending_on_signals():
        demo_run.run(console(), state)


@app.command()
def worker(  # noqa: PLR0913, PLR0917 - a command's options
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


@app.command()
def doctor(
    files: Annotated[list[Path], typer.Argument(help="Client files.")],
    job: Annotated[Path | None, typer.Option(help="The spec of a job to join.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the cards as JSON.")] = False,
) -> None:
    """Check client files and their data before anything trains; nothing is sent.

    Ends with status 1 where something must be done first.
    """
    found = examining.examined(files, job)
    if json:
        print(found.model_dump_json(indent=1))
    else:
        for card in found.cards:
            console().print(examining.table(card))
            for finding in card.findings:
                console().print(f"{finding.severity}: {finding.sentence}", soft_wrap=True)
    if not found.sound:
        raise typer.Exit(1)


app.command()(takeaway.export)
app.command()(takeaway.predict)


@app.command()
def submit(
    file: Annotated[Path, typer.Argument(help="A job spec, YAML or JSON.")],
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
) -> None:
    """Launch a job and print its id."""
    spec = spec_files.load(JobSpec, file)
    with Connection(url, key, key_file).open() as api:
        print(api.submit(spec, str(uuid.uuid4())).id)


@app.command()
def watch(job: Job, url: Url = None, key_file: KeyFile = None, key: Key = None) -> None:
    """Follow a job to its end; exits with 1 when it did not succeed."""
    with ending_on_signals(), Connection(url, key, key_file).about(job) as api:
        (ended,) = follow(api, [str(job)], console(), lambda: None)
    if ended.job.state is not JobState.SUCCEEDED:
        failure = ended.job.failure
        raise UsageError(
            f"the job ended {ended.job.state}" + (f": {failure.message}" if failure else "")
        )


@app.command()
def why(job: Job, url: Url = None, key_file: KeyFile = None, key: Key = None) -> None:
    """Show why a job waits, for whom, until when, and what happens then."""
    with Connection(url, key, key_file).about(job) as api:
        found = api.waiting(job)
        if found.items:
            console().print(waiting_table(found, datetime.now(UTC)))
        else:
            print(f"the job has {api.job(job).state}: it waits for nothing")


@app.command()
def jobs(  # noqa: PLR0913, PLR0917 - a command's options
    state: Annotated[list[JobState] | None, typer.Option(help="In one of these states.")] = None,
    name: Annotated[str | None, typer.Option(help="With this in their name.")] = None,
    client: Annotated[str | None, typer.Option(help="In which this client takes part.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Most jobs.")] = 50,
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
) -> None:
    """List the jobs, newest first."""
    with Connection(url, key, key_file).open() as api:
        found = list(islice(api.jobs(state or (), name, client), limit + 1))
        console().print(listing.jobs_table(found[:limit]))
    if len(found) > limit:
        print(f"there are more: show them with --limit {2 * limit}", file=sys.stderr)


@app.command()
def clients(url: Url = None, key_file: KeyFile = None, key: Key = None) -> None:
    """List the clients and what they have."""
    with Connection(url, key, key_file).open() as api:
        console().print(listing.clients_table(api.clients()))


@app.command()
def cancel(job: Job, url: Url = None, key_file: KeyFile = None, key: Key = None) -> None:
    """Cancel a job."""
    with Connection(url, key, key_file).about(job) as api:
        print(api.cancel(job).state)


@app.command()
def pause(job: Job, url: Url = None, key_file: KeyFile = None, key: Key = None) -> None:
    """Pause a job: what clients work on is still taken, nothing new begins."""
    with Connection(url, key, key_file).about(job) as api:
        print(api.pause(job).state)


@app.command()
def resume(job: Job, url: Url = None, key_file: KeyFile = None, key: Key = None) -> None:
    """Resume a paused job."""
    with Connection(url, key, key_file).about(job) as api:
        print(api.resume(job).state)


app.command()(results.results)
app.command()(forking.fork)
app.command()(forking.distil)
app.command()(forking.onboard)


@app.command()
def rounds(
    job: Job,
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
    json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """Show who delivered in each round so far, and who was missing and why."""
    with Connection(url, key, key_file).about(job) as api:
        found = api.attendance(job)
    if json:
        print(found.model_dump_json(indent=1))
    else:
        console().print(listing.rounds_table(found.items))


@app.command()
def report(
    job: Job,
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
    json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
) -> None:
    """Show what a job's models scored."""
    with Connection(url, key, key_file).about(job) as api:
        found = api.report(job)
    if json:
        print(found.model_dump_json(indent=1))
    else:
        console().print(listing.report_table(found))
        for line in (*listing.offer_changes(found), *listing.verdicts(found)):
            console().print(line, soft_wrap=True)
