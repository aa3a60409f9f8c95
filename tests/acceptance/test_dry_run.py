"""What a dry run foresees is what the job then moves, byte for byte; and then it knows minutes."""

import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.stack.stack import Stack
from shared.api_client import ApiClient
from shared.dry_run import DryRunView, Verdict
from shared.job_spec import JobSpec
from shared.reports import ReportView
from shared.states import JOB_TERMINAL, JobState
from tests.support import federation, small

pytestmark = [pytest.mark.acceptance, pytest.mark.long, pytest.mark.timeout(600)]


def job() -> JobSpec:
    """One round of two clients on two workers, over a base that no other test has: empty caches."""
    sizes = {**small.SPEC["model"]["random"], "hidden_size": 24}
    model = {**small.SPEC["model"], "random": sizes}
    return federation.job("foreseen", model=model, seed=7301, rounds={"count": 1})


def tried(api: ApiClient, spec: JobSpec, key: str) -> DryRunView:
    """The dry run once a planner has described the job, whatever else the machine does."""
    found = api.try_out(spec, key)
    end = time.monotonic() + 200
    while found.verdict is Verdict.UNKNOWN and time.monotonic() < end:
        found = api.dry_run(found.id, wait_s=60)
    return found


def run(api: ApiClient, spec: JobSpec) -> ReportView:
    launched = api.submit(spec, "foreseen")
    end = time.monotonic() + 200
    while (now := api.job(launched.id)).state not in JOB_TERMINAL:
        assert time.monotonic() < end, (now.state, now.round)
        time.sleep(0.1)
    assert now.state is JobState.SUCCEEDED, now.failure
    return api.report(launched.id)


def minutes(found: DryRunView) -> list[bool]:
    """Whether the time of a round is known, by client; then of the round and of the job."""
    clients = [c.time is not None and c.time.round_s is not None for c in found.clients.values()]
    assert found.round is not None
    assert found.job is not None
    return [*clients, found.round.time is not None, found.job.time is not None]


def test_a_dry_run_foresees_the_bytes_of_the_job(stack: Stack, tmp_path: Path) -> None:
    spec = job()
    with stack.client() as api:
        found = tried(api, spec, "foreseen")
        assert (found.verdict, found.reasons) == (Verdict.CAN_RUN, ())
        assert minutes(found) == [False] * 4, "no client has trained such a model yet"
        assert all(each.name != spec.name for each in api.jobs()), "nothing was launched"
        report = run(api, spec)
        moved = api.round(report.job_id, 1)
        manifest = api.version(report.job_id, 0).manifest
        sizes = {name: plan.size for name, plan in found.components.items()}
        assert {name: size and size.n_bytes for name, size in sizes.items()} == {
            name: entry.n_bytes for name, entry in manifest.items()
        }
        assert found.round is not None
        assert found.round.bytes_down_first == moved.bytes_down
        assert found.round.bytes_up == moved.bytes_up
        assert found.round.bytes_full_exchange == moved.bytes_full_exchange
        assert found.job is not None
        assert found.job.bytes_down == report.bytes_down
        assert found.job.bytes_up == report.bytes_up
        assert found.job.bytes_full_exchange == report.bytes_full_exchange
        assert minutes(tried(api, spec, "and-again")) == [True] * 4
    assert said(stack, spec, tmp_path).splitlines()[0] == "the job can run"


def said(stack: Stack, spec: JobSpec, directory: Path) -> str:
    """What the command prints."""
    path = directory / "job.json"
    path.write_text(spec.model_dump_json())
    options = ["--url", stack.url, "--key-file", str(stack.admin_key_file)]
    result = CliRunner().invoke(app, ["submit", str(path), "--dry-run", *options])
    assert result.exit_code == 0, result.output
    return result.stdout
