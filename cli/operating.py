"""`tapestry submit`, `pause`, `resume` and `cancel`: what changes a job."""

import uuid
from pathlib import Path
from typing import Annotated

import typer

from cli.absent import naming_absent, silent
from cli.connection import Connection
from cli.dry_run import DryRun, try_out
from cli.options import IdempotencyKey, Job, Json, Key, KeyFile, Url
from cli.output import print_json, say, warn
from shared import spec_files
from shared.job_spec import JobSpec
from shared.views import JobView


def submit(
    file: Annotated[Path, typer.Argument(help="A job spec, YAML or JSON.")],
    dry_run: DryRun = False,
    idempotency_key: IdempotencyKey = None,
    json: Json = False,
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
) -> None:
    """Launch a job and print its id, or try it out first."""
    spec = spec_files.load(JobSpec, file)
    with Connection(url, key, key_file).open() as api:
        if dry_run:
            try_out(api, spec, idempotency_key, json=json)
            return
        with naming_absent(api, spec):
            launched = api.submit(spec, idempotency_key or str(uuid.uuid4()))
        waits = silent(api, spec.clients)
    if json:
        print_json(launched)
    else:
        say(str(launched.id))
    if waits:
        warn(waits)


def pause(
    job: Job, json: Json = False, url: Url = None, key_file: KeyFile = None, key: Key = None
) -> None:
    """Pause a job: what clients work on is still taken, nothing new begins."""
    with Connection(url, key, key_file).about(job) as api:
        _say_state(api.pause(job), json=json)


def resume(
    job: Job, json: Json = False, url: Url = None, key_file: KeyFile = None, key: Key = None
) -> None:
    """Resume a paused job."""
    with Connection(url, key, key_file).about(job) as api:
        _say_state(api.resume(job), json=json)


def cancel(
    job: Job, json: Json = False, url: Url = None, key_file: KeyFile = None, key: Key = None
) -> None:
    """Cancel a job: what its clients work on is dropped, and no round follows."""
    with Connection(url, key, key_file).about(job) as api:
        _say_state(api.cancel(job), json=json)


def _say_state(job: JobView, *, json: bool) -> None:
    if json:
        print_json(job)
    else:
        say(str(job.state))
