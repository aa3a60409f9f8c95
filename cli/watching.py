"""`tapestry watch`: a job to its end, through breaks of the connection."""

from functools import partial
from typing import Annotated
from uuid import UUID

import typer

from cli.connection import Connection
from cli.exits import FailedError
from cli.options import GiveUp, Job, Key, KeyFile, Url
from cli.output import console, print_json, warn
from cli.patience import Patience
from cli.progress import follow
from cli.signals import ending_on_signals
from shared.api_client import ApiClient
from shared.states import JOB_TERMINAL, JobState
from shared.views import JobView

_SILENT_S = 2.0  # a break that is shorter is not told
_ENDS = frozenset(f"job.{state}" for state in JOB_TERMINAL)

Events = Annotated[
    bool, typer.Option("--json", help="Print each event as a line of JSON, and nothing else.")
]


def watch(
    job: Job,
    give_up: GiveUp = None,
    json: Events = False,
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
) -> None:
    """Follow a job to its end: rounds, clients, losses, replacements, bytes, why it waits.

    It goes on behind breaks of the connection, and ends with status 1 when the job did not succeed.
    """
    connection = Connection(url, key, key_file)
    with ending_on_signals(), connection.about(job, patience_s=_SILENT_S) as api:
        if json:
            ended = _print_events(api, job, Patience(api.url, warn, give_up))
        else:
            (last,) = follow(api, [str(job)], console(), lambda: None, give_up)
            ended = last.job
    if ended.state is not JobState.SUCCEEDED:
        why = ended.failure.message if ended.failure else "see `tapestry rounds`"
        raise FailedError(f"the job ended {ended.state}: {why}")


def _print_events(api: ApiClient, job: UUID, patience: Patience) -> JobView:
    """Print what happens to the job until it has ended."""
    with api.follow(job) as events:
        while True:
            event = patience.ask(events.__next__)
            print_json(event, indent=None)
            if event.kind in _ENDS:
                break
    for late in patience.ask(lambda: list(api.events(job, event.id))):
        print_json(late, indent=None)
    return patience.ask(partial(api.job, job))
