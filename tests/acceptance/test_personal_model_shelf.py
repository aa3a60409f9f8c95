"""A client that has lost its disk gets its model from the shelf: it answers as before, and a fork
goes on with it. The worker is killed at every point between the accepted report and the shelf.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
import yaml

from cli.stack.processes import Processes
from shared.api_client import ApiClient
from shared.messages import AssignmentKind
from shared.shelf import ShelfItem
from shared.shelf_spec import ShelfForm
from shared.states import JOB_TERMINAL, JobState
from shared.views import JobFork
from tests.support import federation
from tests.support.patience import wait_for
from tests.support.unattended import Unattended

pytestmark = [pytest.mark.acceptance, pytest.mark.long, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]
KILLED = -9
BUSY_S = 240.0
# The first is in stage two, behind two rounds of two clients; then the next life goes on there.
KILLS = ("worker.accepted:5", "worker.promoted:1", "shelf.sealed:1", "shelf.sent:1")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two clients, of which the first allows that its models are kept encrypted."""
    files = federation.write(tmp_path / "clients", dict(list(federation.CLIENTS.items())[:2]))
    content = yaml.safe_load(files[0].read_text())
    files[0].write_text(yaml.safe_dump({**content, "shelf": "encrypted"}))
    return files


@pytest.fixture
def stack(server_directory: Path, files: list[Path]) -> Iterator[Unattended]:
    settings = federation.stack_settings(server_directory / "shelf", files)
    with Processes() as own, Unattended(own, settings) as running:
        yield running


def tapestry(where: Path, *arguments: str) -> str:
    """What the command prints; it must succeed."""
    done = run(where, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(where: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "cli", *arguments]
    return subprocess.run(
        command, cwd=where, env=env, capture_output=True, text=True, timeout=240, check=False
    )


def shelved(stack: Unattended, job: UUID, client: str = "c01") -> ShelfItem | None:
    with ApiClient(stack.url, (stack.settings.state / "keys" / f"{client}.key").read_text()) as api:
        (row,) = api.shelf(job).items
        return row.item


def ended(api: ApiClient, job: UUID) -> None:
    wait_for(lambda: api.job(job).state in JOB_TERMINAL, BUSY_S, lambda: api.waiting(job))
    assert api.job(job).state is JobState.SUCCEEDED, api.job(job).failure


def test_a_lost_disk_costs_no_model(stack: Unattended, files: list[Path], tmp_path: Path) -> None:
    with stack.client() as api:
        job = train(stack, api)
        item = shelved(stack, job)
        assert item is not None
        assert (item.form, item.current) == (ShelfForm.ENCRYPTED, True)
        check_who_is_told(api, job)
        here = Client(stack, files[0], stack.settings.state / "worker")
        answers = here.answers(tmp_path, "before", job)
        shutil.rmtree(here.work_dir)  # what the worker had of all its clients
        assert "is no directory" in here.failed(tmp_path, "export", str(job), "--out", "x", code=2)
        new = Client(stack, files[0], tmp_path / "another machine" / "worker")
        check_refusals(new, stack, job, tmp_path)
        said = tapestry(tmp_path, "shelf", "get", str(job), *new.options, *new.shelf_key)
        assert f"has personal state {item.state_digest[:12]} of client c01\n" in said
        assert new.answers(tmp_path, "after", job) == answers
        check_fork(stack, api, job, new)
        check_deletion(stack, job, new, tmp_path)


def train(stack: Unattended, api: ApiClient) -> UUID:
    """A job that ends well, with a worker that is killed at each of the points in turn."""
    first = stack.start_worker()
    stack.wait_for_offers()
    first.terminate()
    first.join(60)
    job = api.submit(federation.job("shelved", shelf="plain"), "shelved").id
    for point in KILLS:
        worker = stack.start_worker(crash=point)
        worker.join(BUSY_S)
        assert worker.exitcode == KILLED, point
    last = stack.start_worker()
    ended(api, job)
    wait_for(lambda: shelved(stack, job) is not None, BUSY_S)
    wait_for(lambda: not list((stack.settings.state / "worker" / "shelf").glob("*/*")), BUSY_S)
    last.terminate()
    last.join(60)
    return job


def check_who_is_told(api: ApiClient, job: UUID) -> None:
    """The second client allows nothing, and the report says so."""
    one, two = api.report(job).shelf
    assert (one.client, one.agreed) == ("c01", ShelfForm.ENCRYPTED)
    assert (two.client, two.agreed, two.item) == ("c02", ShelfForm.NONE, None)
    events = list(api.events(job, kinds=["shelf.declined"]))
    assert [event.data for event in events] == [{"client": "c02", "asked": "plain"}]


class Client:
    """c01 on some machine: its client file, its key, and a work directory."""

    def __init__(self, stack: Unattended, file: Path, work_dir: Path) -> None:
        self.file = file
        self.work_dir = work_dir
        key = stack.settings.state / "keys" / "c01.key"
        self.shelf_key = ("--shelf-key", str(stack.settings.state / "worker-shelf-keys/c01.key"))
        self.options = (
            "--client-file", str(file), "--work-dir", str(work_dir), "--key-file", str(key),
            "--url", stack.url,
        )  # fmt: skip

    def failed(self, where: Path, *command: str, code: int = 1) -> str:
        done = run(where, *command, *self.options)
        assert done.returncode == code
        (line,) = done.stderr.splitlines()
        return line

    def answers(self, where: Path, name: str, job: UUID) -> list[object]:
        """What the exported model says about all of the client's questions."""
        tapestry(where, "export", str(job), "--out", name, *self.options)
        rows = self.file.parent / "vqa-test.jsonl"
        said = tapestry(where, "predict", name, "--task", "vqa", "--rows", str(rows))
        return [json.loads(line) for line in said.splitlines()]


def check_refusals(new: Client, stack: Unattended, job: UUID, where: Path) -> None:
    """Without the shelf key or with another client's key there is one sentence, and no file."""
    said = new.failed(where, "shelf", "get", str(job), code=2)
    assert "without it nobody can open the model" in said
    strange = ("--key-file", str(stack.settings.state / "keys" / "c02.key"))
    done = run(where, "shelf", "get", str(job), *new.options, *new.shelf_key, *strange)
    assert done.returncode == 1
    assert "the key is not client c01's" in done.stderr
    assert [path for path in new.work_dir.rglob("*") if path.is_file()] == [new.work_dir / "lock"]


def check_fork(stack: Unattended, api: ApiClient, job: UUID, new: Client) -> None:
    """The client goes on in a fork from the last round; the other, whose state is lost, cannot."""
    spec = api.job(job).spec
    rounds = spec.rounds.model_copy(update={"count": spec.rounds.count + 1, "quorum": 1})
    more = spec.model_copy(update={"name": "goes on", "rounds": rounds})
    fork = api.fork(job, JobFork(round=spec.rounds.count, spec=more), "goes-on").id
    shutil.copytree(new.work_dir / "personal", stack.settings.state / "worker" / "personal")
    worker = stack.start_worker()
    ended(api, fork)
    wait_for(lambda: shelved(stack, fork) is not None, BUSY_S)
    worker.terminate()
    worker.join(60)
    rows = {row.phase: row for row in api.report(fork).attendance}
    assert all(row.accepted == ("c01",) for row in rows.values())
    (absent,) = rows[AssignmentKind.TRAIN].missing
    assert "restore it from a backup" in absent.reason


def check_deletion(stack: Unattended, job: UUID, new: Client, where: Path) -> None:
    """The client alone decides how long it is there."""
    key = new.options[4:]
    listed = json.loads(tapestry(where, "shelf", "list", str(job), "--json", *key))
    assert [row["client"] for row in listed["items"]] == ["c01"]
    assert "of c01, " in tapestry(where, "shelf", "delete", str(job), *key)
    assert shelved(stack, job) is None
    said = new.failed(where, "shelf", "get", str(job))
    assert "there is no model of client c01 on the shelf" in said
