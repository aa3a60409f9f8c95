"""`tapestry benefits` and what `tapestry report` says of it: whom federation helped and hurt."""

import uuid
from typing import Annotated

import typer
from rich.table import Table

from cli.connection import Connection
from cli.options import Job, Json, Key, KeyFile, Url
from cli.output import console, print_json, say
from shared.reports import BenefitRow, BenefitsView
from shared.results import TaskScore

Alone = Annotated[
    uuid.UUID | None,
    typer.Option(
        help="The job in which each client trained alone; else the newest of algorithm local over "
        "the same clients and tasks."
    ),
]
Averaged = Annotated[
    uuid.UUID | None,
    typer.Option(
        help="The job by FedAvg; else the newest of algorithm fedavg over the same clients and "
        "tasks."
    ),
]


def benefits(
    job: Job,
    alone: Alone = None,
    averaged: Averaged = None,
    json: Json = False,
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
) -> None:
    """Show whom federation helped and hurt, beside training alone and FedAvg."""
    with Connection(url, key, key_file).about(job, alone, averaged) as api:
        found = api.benefits(job, alone, averaged)
    if json:
        print_json(found)
    elif found.rows:
        console().print(benefits_table(found))
        say(found.sentence)
    else:
        say("no models have been measured yet: a job measures them at its end")


def benefits_table(found: BenefitsView) -> Table:
    """Each client's task: alone, by FedAvg, and what the job came to."""
    shown = Table(box=None, pad_edge=False)
    for title in ("client", "task", "metric", "alone", "fedavg", "job", "gain", "verdict"):
        shown.add_column(title, justify="left" if title in {"client", "task"} else "right")
    for row in found.rows:
        last = row.models[row.last]
        scores = (_value(row.alone), _value(row.averaged), _value(last))
        shown.add_row(row.client, row.task, last.metric, *scores, _gain(row), str(row.verdict))
    return shown


def _value(score: TaskScore | None) -> str:
    return "-" if score is None else f"{score.value:.3f}"


def _gain(row: BenefitRow) -> str:
    """Of skill, and the interval of the metric's difference."""
    if row.gain is None:
        return "-"
    low_high = row.difference
    return f"{row.gain:+.3f}" + (f" ({low_high[0]:+.3f} to {low_high[1]:+.3f})" if low_high else "")
