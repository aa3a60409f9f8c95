"""`tapestry fork`, and the two forks without a spec file: `tapestry distil`, `tapestry onboard`."""

import uuid
from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.absent import naming_absent
from cli.connection import Connection
from cli.dry_run import DryRun, try_out_fork
from cli.forks import StageTwo, distilled_again, onboarding, version_of, weights_of
from cli.options import MOST_ROUNDS, IdempotencyKey, Job, Json, Key, KeyFile, Url
from cli.output import print_json, say, warn
from shared import spec_files
from shared.job_spec import JobSpec
from shared.views import JobDetail, JobFork

Personal = Annotated[
    int | None,
    typer.Option(
        "--personal-round",
        min=0,
        max=MOST_ROUNDS,
        help="Another round, after which clients had personal states.",
    ),
]
Steps = Annotated[
    int | None, typer.Option(min=1, max=1_000_000, help="Optimizer steps; else as in the job.")
]
Rate = Annotated[float | None, typer.Option(help="Of stage two; else as in the job.")]
Title = Annotated[str | None, typer.Option("--name", help="What the new job is called.")]


def fork(
    job: Job,
    number: Annotated[
        int,
        typer.Option(
            "--round", min=0, max=MOST_ROUNDS, help="Version to begin with; the next round follows."
        ),
    ],
    spec: Annotated[Path, typer.Option(help="The fork's job spec, YAML or JSON.")],
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Let clients begin without personal states.")
    ] = False,
    dry_run: DryRun = False,
    idempotency_key: IdempotencyKey = None,
    json: Json = False,
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
) -> None:
    """Launch a job that goes on from a version of another and print its id, or try it out first."""
    states: Literal["parent", "fresh"] = "fresh" if fresh else "parent"
    wish = JobFork(round=number, spec=spec_files.load(JobSpec, spec), personal_states=states)
    with Connection(url, key, key_file).about(job) as api:
        if dry_run:
            try_out_fork(api, job, wish, idempotency_key, json=json)
            return
        with naming_absent(api, wish.spec):
            launched = api.fork(job, wish, idempotency_key or str(uuid.uuid4()))
    if json:
        print_json(launched)
    else:
        say(str(launched.id))


def distil(
    job: Job,
    number: Annotated[
        int | None,
        typer.Option(
            "--round", min=0, max=MOST_ROUNDS, help="The server's version; else the newest."
        ),
    ] = None,
    personal_round: Personal = None,
    steps: Steps = None,
    learning_rate: Rate = None,
    temperature: Annotated[float | None, typer.Option(help="Of distillation.")] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(metavar="TASK=LAMBDA", help="Weight of a task's distillation loss."),
    ] = None,
    name: Title = None,
    dry_run: DryRun = False,
    idempotency_key: IdempotencyKey = None,
    json: Json = False,
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
) -> None:
    """Do a job's stage two again, from a version and personal states that it had at any time.

    Nothing of stage one is trained again. Prints the id of the fork that does it.
    """
    wish = StageTwo(steps, learning_rate, temperature, weights_of(weight or ()), name)
    with Connection(url, key, key_file).about(job) as api:
        version = version_of(api.versions(job, order="-number", most=1), number)
        spec = distilled_again(api.job(job), version, wish)
        asked = JobFork(round=version, spec=spec, personal_round=personal_round)
        if dry_run:
            try_out_fork(api, job, asked, idempotency_key, json=json)
            return
        launched = api.fork(job, asked, idempotency_key or str(uuid.uuid4()))
    _say(launched, json=json)


def onboard(
    job: Job,
    clients: Annotated[list[str], typer.Argument(help="Clients that the job did not have.")],
    steps: Steps = None,
    learning_rate: Rate = None,
    name: Title = None,
    dry_run: DryRun = False,
    idempotency_key: IdempotencyKey = None,
    json: Json = False,
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
) -> None:
    """Give new clients their models in a few steps from a job's newest version, and measure them.

    Nobody else has to be there. Prints the id of the fork that does it.
    """
    wish = StageTwo(steps, learning_rate, name=name)
    with Connection(url, key, key_file).about(job) as api:
        version = version_of(api.versions(job, order="-number", most=1), None)
        offers = {client.id: client.offer for client in api.clients()}
        spec = onboarding(api.job(job), version, clients, offers, wish)
        asked = JobFork(round=version, spec=spec)
        if dry_run:
            try_out_fork(api, job, asked, idempotency_key, json=json)
            return
        launched = api.fork(job, asked, idempotency_key or str(uuid.uuid4()))
    _say(launched, json=json)


def _say(fork: JobDetail, *, json: bool) -> None:
    """The id alone is what a script reads; what one may do then is for people."""
    if json:
        print_json(fork)
        return
    say(str(fork.id))
    warn(f"then: tapestry watch {fork.id}, and tapestry report {fork.id}")
