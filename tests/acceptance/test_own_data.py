"""A job over the example clients' own data: through the whole stack, and by the simulation."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.stack.processes import Processes
from cli.stack.settings import client_files
from cli.stack.stack import Stack
from shared import spec_files
from shared.api_client import ApiClient
from shared.artifacts import ArtifactStore
from shared.job_spec import JobSpec
from shared.readiness import PublishedCard
from shared.reports import ReportView
from shared.results import Variant
from shared.states import JOB_TERMINAL, JobState
from tests.support import federation
from tests.support.simulate import load_simulate
from worker.data.client_file import ClientFile
from worker.doctor.examine import Reading, examine

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

EXAMPLES = Path(__file__).parents[2] / "examples"
SPEC = spec_files.load(JobSpec, EXAMPLES / "jobs" / "own-data.yaml")
FILES = client_files(EXAMPLES / "clients")
TASKS = {"lab": {"parts", "messages", "questions"}, "shop": {"parts", "messages"}}


@pytest.fixture(scope="module")
def stack(server_directory: Path) -> Iterator[Stack]:
    """A stack that serves the example clients."""
    settings = federation.stack_settings(server_directory / "own-data", FILES, n_workers=1)
    with Processes() as own, Stack(own, settings) as running:
        running.wait_for_offers()
        yield running


@pytest.fixture(scope="module")
def report(stack: Stack) -> ReportView:
    """What the service says of the job once it has ended."""
    with stack.client() as api:
        job = api.submit(SPEC, "own-data")
        end = time.monotonic() + 400
        while (now := api.job(job.id)).state not in JOB_TERMINAL:
            assert time.monotonic() < end, (now.state, now.round)
            stack.processes.check()
            time.sleep(0.3)
        assert now.state is JobState.SUCCEEDED, now.failure
        return api.report(job.id)


def test_each_client_is_measured_on_each_of_its_tasks(report: ReportView) -> None:
    variants = {Variant.ENGAGED, Variant.POST_TRAINED, Variant.PERSONAL, Variant.DISTILLED}
    wanted = {(c, task, v) for c, tasks in TASKS.items() for task in tasks for v in variants}
    assert {(row.client, row.task, row.variant) for row in report.scores} == wanted


def test_the_simulation_ends_with_the_same_bits(report: ReportView, tmp_path: Path) -> None:
    files = [ClientFile.read(path) for path in FILES]
    with load_simulate() as simulate:
        run = simulate.run(SPEC, files, ArtifactStore(tmp_path, durable=False))
    assert run.manifests[-1] == report.final_manifest
    scores = {
        (client, task, variant): score
        for client, variants in run.scores.items()
        for variant, tasks in variants.items()
        for task, score in tasks.items()
    }
    assert {(row.client, row.task, row.variant): row.score for row in report.scores} == scores


def test_who_publishes_its_card_is_seen_with_its_numbers_and_nobody_else(
    stack: Stack, report: ReportView
) -> None:
    assert report.scores, "the job has ended, served beside the doctor"
    with stack.client() as api:
        end = time.monotonic() + 120
        while (lab := _card(api, "lab")) is None:
            assert time.monotonic() < end
            time.sleep(0.3)
        assert _card(api, "shop") is None
    doctored = examine(ClientFile.read(FILES[0]), None, Reading())
    assert (lab.errors, lab.warnings) == (0, 0)
    assert set(lab.tasks) == TASKS["lab"]
    train = doctored.tasks["parts"].train
    assert lab.tasks["parts"].train.per_class == tuple(
        train.classes[name] for name in SPEC.tasks["parts"].classes
    )


def _card(api: ApiClient, name: str) -> PublishedCard | None:
    offer = next(client.offer for client in api.clients() if client.id == name)
    assert offer is not None
    return offer.card
