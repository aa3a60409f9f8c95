"""`tapestry results`: everything that a job has come to, as files that other programs read."""

from collections.abc import Callable, Collection, Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from pydantic import BaseModel

from cli.connection import Connection
from cli.exits import UsageError
from cli.options import Job, Json, Key, KeyFile, Url
from cli.output import print_data, say
from cli.signals import ending_on_signals
from shared.api_client import ApiClient
from shared.job_tables import TABLES
from shared.states import JOB_TERMINAL
from shared.views import JobDetail
from shared.whole_directory import TargetError, beside, check_target, whole


class Format(StrEnum):
    """What a table is written as."""

    CSV = "csv"
    JSON = "json"


def results(
    job: Job,
    out: Annotated[Path, typer.Option(help="Directory to be made.")],
    formats: Annotated[
        list[Format] | None, typer.Option("--format", help="Of the tables; by default both.")
    ] = None,
    json: Json = False,
    url: Url = None,
    key_file: KeyFile = None,
    key: Key = None,
) -> None:
    """Write a job's tables, its spec and, once it has ended, its report into a new directory.

    While the job runs the tables have what has come so far.
    """
    try:
        check_target(out)
    except TargetError as error:
        raise UsageError(str(error)) from error
    with ending_on_signals(), Connection(url, key, key_file).about(job) as api:
        found = written(api, job, out, formats or tuple(Format))
    files = sorted(path.name for path in out.iterdir())
    if json:
        told = {"job": str(job), "state": found.state, "directory": str(out), "files": files}
        print_data(told)
    else:
        say(f"{out}: what job {job} has come to ({found.state}), in {len(files)} files")


def written(api: ApiClient, job: UUID, out: Path, formats: Collection[Format]) -> JobDetail:
    """Write the directory, whole or not at all; the job as it was before. Raises ApiError."""
    detail = api.job(job)
    with whole(beside(out), out) as directory:
        _write(directory / "spec.json", detail.spec)
        if detail.state in JOB_TERMINAL:
            _write(directory / "report.json", api.report(job))
        for table in TABLES:
            if Format.CSV in formats:
                _write_csv(api, job, table, directory / f"{table}.csv")
            if Format.JSON in formats:
                _write_json(_rows(api, job, table), directory / f"{table}.json")
        directory.chmod(0o755)
    return detail


def _write(path: Path, value: BaseModel) -> None:
    path.write_text(value.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _write_csv(api: ApiClient, job: UUID, table: str, path: Path) -> None:
    def keep(chunks: Iterator[bytes]) -> None:
        with path.open("wb") as file:
            file.writelines(chunks)

    api.table_csv(job, table, keep)


def _rows(api: ApiClient, job: UUID, table: str) -> Iterable[BaseModel]:
    read: dict[str, Callable[[UUID], Iterable[BaseModel]]] = {
        "losses": api.losses,
        "replacements": api.replacements,
        "contributions": api.contributions,
        "components": api.components,
        "traffic": api.traffic,
        "scores": api.scores,
    }
    return read[table](job)


def _write_json(rows: Iterable[BaseModel], path: Path) -> None:
    """The form of a page that has all rows, a row in each line."""
    with path.open("w", encoding="utf-8") as file:
        file.write('{"items": [')
        for number, row in enumerate(rows):
            file.write(f"{',' if number else ''}\n{row.model_dump_json()}")
        file.write("\n]}\n")
