"""`tapestry mlflow`: a job's parameters, losses, bytes, scores, tables and report into MLflow.

Reads the API as anybody may, so the service knows nothing of MLflow. Written again, a run goes on:
what is there already is left as it is.
"""

import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.connection import Connection
from cli.exits import FailedError, UsageError
from cli.options import Job, Json, Key, KeyFile, Url
from cli.output import print_data, say
from cli.results import Format, written
from shared.api_client import ApiClient
from shared.job_spec import JobSpec
from shared.reports import ReportView
from shared.states import JOB_TERMINAL, JobState
from shared.views import JobDetail, RoundView

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_TAG = "tapestry.job"
_LONGEST_PARAM = 6000  # MLflow's limits
_MOST_PARAMS, _MOST_METRICS = 100, 1000


@dataclass(frozen=True)
class Point:
    """A value of a metric; `step` is the round."""

    key: str
    value: float
    step: int
    at_ms: int


def mlflow(
    job: Job,
    tracking_uri: Annotated[
        str,
        typer.Option(
            help="Such as sqlite:///mlflow.db, or a server's.", envvar="MLFLOW_TRACKING_URI"
        ),
    ],
    experiment: Annotated[str, typer.Option(help="Where the run is kept.")] = "tapestry",
    json: Json = False,
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
) -> None:
    """Write a job into MLflow and print the run's id; again: what is new since.

    Parameters are its spec, metrics its losses and bytes by round, client and task, and its scores.
    Artifacts are its spec, its tables as CSV and JSON, and, once it has ended, its report.
    """
    if find_spec("mlflow") is None:
        raise UsageError(
            "MLflow is not installed here: run pip install '.[mlflow]' in Tapestry's checkout"
        )
    with Connection(url, key, key_file).about(job) as api:
        run = write(api, job, tracking_uri, experiment)
    if json:
        where = {"tracking_uri": tracking_uri, "experiment": experiment}
        print_data({"job": str(job), "run": run, **where})
    else:
        say(run)


def write(api: ApiClient, job: Any, tracking_uri: str, experiment: str) -> str:
    """The id of the run that holds all that the job has by now.

    Raises ApiError, UsageError where there is no such store, FailedError where it stops in between.
    """
    detail, rounds = api.job(job), api.rounds(job)
    report = api.report(job) if detail.state in JOB_TERMINAL else None
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it would tell its makers of us
    from mlflow import MlflowClient  # noqa: PLC0415  # seconds, for this command alone
    from mlflow.exceptions import MlflowException  # noqa: PLC0415  # seconds, for this command alone

    try:
        client = MlflowClient(tracking_uri=tracking_uri)
        known = client.get_experiment_by_name(experiment)
    except MlflowException as error:
        raise UsageError(
            f"MLflow at {tracking_uri} refuses ({error.message}): check --tracking-uri"
        ) from error
    points = [*of_rounds(rounds), *(of_report(report, detail) if report else ())]
    try:
        where = known.experiment_id if known else client.create_experiment(experiment)
        run = _run_of(client, detail, where)
        _write_params(client, run, params(detail.spec))
        _write_points(client, run, points)
        _write_files(client, run, api, detail)
        _end(client, run, detail)
    except MlflowException as error:
        raise FailedError(
            f"MLflow at {tracking_uri} refuses ({error.message}), and a part may be written: see "
            "its log, and run the command again, which writes what is missing"
        ) from error
    return str(run.info.run_id)


def _run_of(client: "MlflowClient", job: JobDetail, where: str) -> "Run":
    """The job's run in an experiment, begun if there is none."""
    found = client.search_runs([where], f"tags.`{_TAG}` = '{job.id}'", max_results=1)
    if found:
        return found[0]
    tags = {_TAG: str(job.id), "tapestry.algorithm": job.algorithm}
    began = int(job.created_at.timestamp() * 1000)
    return client.create_run(where, start_time=began, tags=tags, run_name=job.name)


def _write_params(client: "MlflowClient", run: "Run", wanted: Mapping[str, str]) -> None:
    from mlflow.entities import Param  # noqa: PLC0415  # seconds, for this command alone

    new = [Param(k, v) for k, v in wanted.items() if k not in run.data.params]
    for first in range(0, len(new), _MOST_PARAMS):
        client.log_batch(run.info.run_id, params=new[first : first + _MOST_PARAMS])


def _write_points(client: "MlflowClient", run: "Run", wanted: Iterable[Point]) -> None:
    """Add the points whose metric has none at their step."""
    from mlflow.entities import Metric  # noqa: PLC0415  # seconds, for this command alone

    by_key: defaultdict[str, list[Point]] = defaultdict(list)
    for point in wanted:
        by_key[point.key].append(point)
    new = []
    for key, points in by_key.items():
        there = key in run.data.metrics
        history = client.get_metric_history(run.info.run_id, key) if there else ()
        known = {metric.step for metric in history}
        new += [Metric(p.key, p.value, p.at_ms, p.step) for p in points if p.step not in known]
    for first in range(0, len(new), _MOST_METRICS):
        client.log_batch(run.info.run_id, metrics=new[first : first + _MOST_METRICS])


def _write_files(client: "MlflowClient", run: "Run", api: ApiClient, job: JobDetail) -> None:
    """Keep what `tapestry results` writes beside the run, in the place of what was there."""
    with tempfile.TemporaryDirectory(prefix="tapestry-mlflow-") as place:
        files = Path(place) / "results"
        written(api, job.id, files, tuple(Format))
        client.log_artifacts(run.info.run_id, str(files))


def _end(client: "MlflowClient", run: "Run", job: JobDetail) -> None:
    client.set_tag(run.info.run_id, "tapestry.state", str(job.state))
    if job.state in JOB_TERMINAL:
        how = {JobState.SUCCEEDED: "FINISHED", JobState.CANCELLED: "KILLED"}
        ended = int(job.updated_at.timestamp() * 1000)
        client.set_terminated(run.info.run_id, how.get(job.state, "FAILED"), ended)


def params(spec: JobSpec) -> dict[str, str]:
    """The spec's values by their paths, such as `training.batch_size`."""
    return {path: value[:_LONGEST_PARAM] for path, value in _leaves(spec.model_dump(mode="json"))}


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and not any(isinstance(each, dict) for each in value):
        yield path, ", ".join(map(str, value))
    else:
        yield path, str(value)


def of_rounds(rounds: Iterable[RoundView]) -> Iterator[Point]:
    """What the rounds that are closed say of each client that delivered, and of all."""
    for each in rounds:
        if each.closed_at is None:
            continue
        at_ms = int(each.closed_at.timestamp() * 1000)
        for key, value in _of_round(each):
            yield Point(key, value, each.number, at_ms)


def _of_round(each: RoundView) -> Iterator[tuple[str, float]]:
    yield "bytes_down", each.bytes_down
    yield "bytes_up", each.bytes_up
    for assignment in each.assignments:
        client, traffic = assignment.client, assignment.traffic
        for task, losses in assignment.losses.items():
            for model, value in losses.model_dump(exclude_none=True).items():
                yield f"loss.{task}.{model}/{client}", value
        if traffic is not None:
            yield f"bytes_down/{client}", traffic.bytes_down
            yield f"bytes_up/{client}", traffic.bytes_up
            yield f"seconds/{client}", traffic.seconds


def of_report(report: ReportView, job: JobDetail) -> Iterator[Point]:
    """The final scores, of each client and over all; their step is the last round."""
    at_ms = int(job.updated_at.timestamp() * 1000)
    for row in report.scores:
        for metric, value in {"skill": row.score.skill, **row.score.metrics}.items():
            key = f"score.{row.task}.{row.variant}.{metric}/{row.client}"
            yield Point(key, value, job.round, at_ms)
    for average in report.averages:
        key = f"score.{average.task}.{average.variant}.{average.metric}"
        yield Point(key, average.value, job.round, at_ms)
