"""`tapestry jobs`, `clients`, `rounds`, `report`, `compare`, `why`: what there is, and how."""

from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from cli import comparing, listing
from cli.benefiting import Alone, Averaged
from cli.connection import Connection
from cli.exits import UsageError
from cli.options import Job, Json, Key, KeyFile, Url, client_name
from cli.output import console, print_data, print_json, say, warn, write_whole
from cli.waiting import waiting_table
from shared.states import JobState
from shared.views import ClientList, JobList

_PAGE = {"next"}  # the command line turns the pages itself


def jobs(
    state: Annotated[list[JobState] | None, typer.Option(help="In one of these states.")] = None,
    name: Annotated[str | None, typer.Option(help="With this in their name.")] = None,
    client: Annotated[
        str | None,
        typer.Option(parser=client_name, metavar="TEXT", help="In which this client takes part."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=1_000_000, help="Most jobs.")
    ] = 50,
    json: Json = False,
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
) -> None:
    """List the jobs, newest first."""
    with Connection(url, key, key_file).open() as api:
        found = list(islice(api.jobs(state or (), name, client), limit + 1))
    if json:
        print_json(JobList(items=tuple(found[:limit])), leaving_out=_PAGE)
    else:
        console().print(listing.jobs_table(found[:limit]))
    if len(found) > limit:
        warn(f"there are more: show them with --limit {2 * limit}")


def clients(json: Json = False, url: Url = None, key_file: KeyFile = None, key: Key = None) -> None:
    """List the clients and what they have."""
    with Connection(url, key, key_file).open() as api:
        found = api.clients()
    if json:
        print_json(ClientList(items=tuple(found)), leaving_out=_PAGE)
    else:
        console().print(listing.clients_table(found, datetime.now(UTC)))


def why(
    job: Job, json: Json = False, url: Url = None, key_file: KeyFile = None, key: Key = None
) -> None:
    """Show why a job waits, for whom, until when, and what happens then."""
    with Connection(url, key, key_file).about(job) as api:
        found = api.waiting(job)
        if json:
            print_json(found)
        elif found.items:
            console().print(waiting_table(found, datetime.now(UTC)))
        else:
            say(f"the job has {api.job(job).state}: it waits for nothing")


def rounds(
    job: Job, json: Json = False, url: Url = None, key_file: KeyFile = None, key: Key = None
) -> None:
    """Show who delivered in each round so far, and who was missing and why."""
    with Connection(url, key, key_file).about(job) as api:
        found = api.attendance(job)
    if json:
        print_json(found, leaving_out=_PAGE)
    else:
        console().print(listing.rounds_table(found.items))


def report(
    job: Job,
    html: Annotated[
        Path | None, typer.Option(help="Write the report to this file, a page that stands alone.")
    ] = None,
    alone: Alone = None,
    averaged: Averaged = None,
    json: Json = False,
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
) -> None:
    """Show what a job's models scored, and whom federation helped and hurt."""
    if json and html is None and (alone or averaged):
        raise UsageError(
            "the report compares in words alone: pass these to `tapestry benefits --json`"
        )
    with Connection(url, key, key_file).about(job, alone, averaged) as api:
        if html is not None:
            write_whole(html, api.report_page(job, alone, averaged))
            if json:
                print_data({"job": str(job), "html": str(html)})
            else:
                say(f"the report is in {html}")
            return
        found = api.report(job)
        given = None if json else api.benefits(job, alone, averaged)
    if given is None:
        print_json(found)
    else:
        console().print(listing.report_table(found))
        for line in (*listing.offer_changes(found), *listing.verdicts(found)):
            console().print(line, soft_wrap=True)
        if given.rows:
            say(given.sentence)
        if found.shelf:
            console().print(listing.shelf_table(found.shelf))


def compare(
    jobs: Annotated[
        list[str],
        typer.Argument(
            metavar="JOB[:VARIANT]...",
            help="Two jobs or more, or one with several of its models, as in JOB:engaged JOB; "
            "without a variant the one that a client would take away.",
        ),
    ],
    json: Json = False,
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
) -> None:
    """Show what jobs gave each client side by side, with what they cost."""
    wishes = comparing.wishes(jobs)
    connection = Connection(url, key, key_file)
    reports = {wish.job: comparing.report_of(connection, wish.job) for wish in wishes}
    found = comparing.compared(wishes, reports)
    if json:
        say(found.as_json())
    else:
        console().print(found.table())
        console().print(found.costs())
