"""`tapestry results` against a real API: files that are read back, whole or not at all."""

import csv
import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from server.job_tables import answers
from shared.exits import ExitCode
from shared.job_spec import JobSpec
from shared.job_tables import TABLES
from shared.reports import ReportView
from shared.tables_client import JobTables
from shared.transport import ApiError
from tests.support.long_job import LongJob, write
from tests.support.scripted import World
from tests.support.serving import served

pytestmark = pytest.mark.integration
ENDED = LongJob("ended", n_rounds=3, n_clients=3)
RUNNING = LongJob("running", n_rounds=2, n_clients=3, ended=False)


@pytest.fixture
def address(unchecked: World) -> Iterator[str]:
    """An API whose jobs are rows alone: their artifacts are not there."""
    for job in (ENDED, RUNNING):
        write(unchecked.context.sessions, job)
    with served(unchecked.http.app, lifespan="off") as found:
        yield found


def run(world: World, address: str, job: object, out: Path, *more: str) -> Result:
    given = ["results", str(job), "--out", str(out), "--url", address, *more]
    return CliRunner().invoke(app, given, env={"TAPESTRY_KEY": world.viewer.key})


def test_a_job_that_has_ended(unchecked: World, address: str, tmp_path: Path) -> None:
    out = tmp_path / "results"
    done = run(unchecked, address, ENDED.id, out)
    assert done.exit_code == 0, done.stderr
    assert f"{out}: what job {ENDED.id} has come to (succeeded), in 14 files" in done.stdout
    assert JobSpec.model_validate_json((out / "spec.json").read_text()) == ENDED.spec()
    report = ReportView.model_validate_json((out / "report.json").read_text())
    assert report.rounds == 3
    for table, kind in TABLES.items():
        found = kind.model_validate_json((out / f"{table}.json").read_text())
        with (out / f"{table}.csv").open(newline="") as file:
            assert len(list(csv.DictReader(file))) == len(found.items) > 0
        assert list(found.items) == list(kind.model_validate(asked(unchecked, table)).items)
    losses = json.loads((out / "losses.json").read_text())["items"]
    assert len(losses) == 3 * 3 * ENDED.n_tasks
    assert len(report.scores) * 3 == len(json.loads((out / "scores.json").read_text())["items"])


def asked(world: World, table: str) -> Any:
    return world.viewer.ok("GET", f"/v1/jobs/{ENDED.id}/{table}")


def test_what_was_written_is_told_as_json(unchecked: World, address: str, tmp_path: Path) -> None:
    out = tmp_path / "r"
    done = run(unchecked, address, RUNNING.id, out, "--format", "json", "--json")
    files = sorted(path.name for path in out.iterdir())
    told = {"job": str(RUNNING.id), "state": "running", "directory": str(out), "files": files}
    assert json.loads(done.stdout) == told


def test_one_that_runs_has_no_report_yet(unchecked: World, address: str, tmp_path: Path) -> None:
    done = run(unchecked, address, RUNNING.id, tmp_path / "r", "--format", "csv")
    assert done.exit_code == 0, done.stderr
    names = {path.name for path in (tmp_path / "r").iterdir()}
    assert names == {"spec.json", *(f"{table}.csv" for table in TABLES)}
    assert len((tmp_path / "r" / "losses.csv").read_text().splitlines()) == 1 + 3 * (3 + 2)


def test_what_cannot_be_written_is_said(unchecked: World, address: str, tmp_path: Path) -> None:
    out = tmp_path / "there"
    out.mkdir()
    (out / "mine.txt").touch()
    for job, target, says, code in (
        (ENDED.id, out, "is there and not empty: choose another --out", ExitCode.USAGE),
        (ENDED.id, tmp_path / "no" / "such", "is no directory: make it", ExitCode.USAGE),
        ("0" * 32, tmp_path / "new", "there is no job", ExitCode.FAILED),
    ):
        done = run(unchecked, address, job, target)
        assert done.exit_code == code
        assert says in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"there", "artifacts"}  # the API's


def test_nothing_stays_behind_where_the_api_breaks_off(
    unchecked: World, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(JobTables, "scores", broken)
    done = run(unchecked, address, ENDED.id, tmp_path / "results")
    assert done.exit_code == 1
    assert "the disk is full" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["artifacts"], "the API's"


def test_csv_that_breaks_off_is_no_shorter_table(
    unchecked: World, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages, read = count(), answers._rows

    def breaking(*asked: Any) -> Any:
        if next(pages):
            raise RuntimeError("the second page cannot be read")
        return read(*asked)

    monkeypatch.setattr(answers, "_rows", breaking)
    monkeypatch.setattr(answers, "_AT_ONCE", 3 * ENDED.n_tasks)
    kept: list[bytes] = []
    with JobTables(address, unchecked.viewer.key, patience_s=0) as api:
        with pytest.raises(ApiError, match="cannot be reached"):
            api.table_csv(ENDED.id, "losses", kept.extend)
        assert sum(chunk.count(b"\r\n") for chunk in kept) == 1 + 3 * ENDED.n_tasks
