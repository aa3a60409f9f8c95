"""A client loses its images in the middle of a job, and has them again: the job follows."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml

from cli.stack.processes import Processes
from shared.api_client import ApiClient
from shared.messages import AssignmentKind
from shared.reports import ReportView
from shared.states import JOB_TERMINAL, JobState
from tests.support import federation, small
from tests.support.patience import wait_for
from tests.support.unattended import Unattended

pytestmark = [pytest.mark.acceptance, pytest.mark.long, pytest.mark.timeout(600)]

CLIENTS = {"c01": ("vqa", "digits"), "c02": ("vqa",)}
SPEC = small.spec(
    name="images lost",
    clients=list(CLIENTS),
    tasks={task: small.SPEC["tasks"][task] for task in ("digits", "vqa")},
    rounds={"count": 6},
)
BUSY_S = 240.0  # of a machine that has other work
ONLY_VQA_SEES = "mote.0.image.text_generation"  # an expert of images that digits does not use


@pytest.fixture(scope="module")
def stack(server_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unattended]:
    files = federation.write(tmp_path_factory.mktemp("losing"), CLIENTS)
    settings = federation.stack_settings(server_directory / "losing", files)
    with Processes() as own, Unattended(own, settings) as running:
        yield running


def read(file: Path, *modalities: str) -> None:
    """Have the client's task read these, with its images there or away."""
    described = yaml.safe_load(file.read_text())
    described["tasks"]["vqa"]["modalities"] = list(modalities)
    file.write_text(yaml.safe_dump(described))
    images, away = file.parent / "images", file.parent / "away"
    away.mkdir(exist_ok=True)
    source, target = (away, images) if "image" in modalities else (images, away)
    for image in source.glob("c01-vqa-*"):
        image.rename(target / image.name)


def behind(api: ApiClient, job: UUID, number: int, worker: Any) -> int:
    """Pause the job behind a round, and stop the worker; returns the round that is open then."""
    wait_for(lambda: api.job(job).round > number, BUSY_S)
    api.pause(job)
    worker.terminate()
    worker.join(30)
    assert worker.exitcode == 0
    return api.job(job).round


@pytest.fixture(scope="module")
def report(stack: Unattended) -> ReportView:
    """What is said of the job in the end."""
    file = stack.settings.clients["c01"]
    worker = stack.start_worker()
    stack.wait_for_offers()
    with stack.client() as api:
        job = api.submit(SPEC, "losing").id
        number = 1
        for modalities in (("text",), ("image", "text")):
            number = behind(api, job, number, worker)
            read(file, *modalities)
            worker = stack.start_worker()
            wait_for(partial(offers, api, modalities), BUSY_S)
            api.resume(job)
        wait_for(lambda: api.job(job).state in JOB_TERMINAL, BUSY_S)
        assert api.job(job).state is JobState.SUCCEEDED, api.job(job).failure
        worker.terminate()
        worker.join(30)
        return api.report(job)


def offers(api: ApiClient, modalities: tuple[str, ...]) -> bool:
    """Whether the client's worker has said that it reads these."""
    offer = next(each.offer for each in api.clients() if each.id == "c01")
    assert offer is not None
    return set(offer.tasks["vqa"].modalities) == set(modalities)


def test_the_report_says_what_was_lost_from_which_round_on(report: ReportView) -> None:
    lost, back = report.offer_changes
    assert (lost.client, lost.task, lost.modality, lost.lost) == ("c01", "vqa", "image", True)
    assert (back.client, back.task, back.modality, back.lost) == ("c01", "vqa", "image", False)
    assert 2 <= lost.round < back.round <= 6


def test_each_round_goes_by_what_the_client_had(report: ReportView) -> None:
    lost, back = (change.round for change in report.offer_changes)
    rounds = [row for row in report.attendance if row.phase is AssignmentKind.TRAIN]
    assert [row.round for row in rounds] == [1, 2, 3, 4, 5, 6]
    for row in rounds:
        assert set(row.accepted) == {"c01", "c02"}, row.missing
        blind = lost <= row.round < back
        assert set(row.contributors[ONLY_VQA_SEES]) == ({"c02"} if blind else {"c01", "c02"})
        assert set(row.contributors["encoder.text"]) == {"c01", "c02"}
        assert "c01" in row.contributors["encoder.image"], "digits still has images"


def test_the_first_round_with_other_eyes_decides_nothing_about_the_task(report: ReportView) -> None:
    changed = {change.round for change in report.offer_changes}
    decided = {
        row.round
        for row in report.replacements
        if (row.client, row.decision.task) == ("c01", "vqa")
    }
    assert decided == {1, 2, 3, 4, 5, 6} - changed


def test_the_client_is_measured_on_all_its_tasks(report: ReportView) -> None:
    measured = {(row.client, row.task) for row in report.scores}
    assert measured == {("c01", "vqa"), ("c01", "digits"), ("c02", "vqa")}
