"""What a client's data cost in the training process."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from shared.artifacts import ArtifactStore
from shared.components import Modality
from shared.messages import AssignmentKind, Claim, Lease
from tests.support import federation
from worker.data.client_file import ClientFile
from worker.models.base import load_base
from worker.training.checkpoints import Finished
from worker.workbench import Workbench
from worker.workplace import Workplace

pytestmark = pytest.mark.unit
JOB = UUID(int=1)
CLAIM = Claim(
    assignment_id=UUID(int=2),
    kind=AssignmentKind.TRAIN,
    job_id=JOB,
    spec=federation.job("given anew"),
    lease=Lease(id=UUID(int=3), attempt=1, seconds=1.0),
    round=1,
    components=("encoder.image", "encoder.text"),
    tasks={"vqa": (Modality.IMAGE, Modality.TEXT)},
    manifest={"encoder.image": "1" * 64, "encoder.text": "2" * 64},
    state_digest="3" * 64,
)


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    name = next(name for name, tasks in federation.CLIENTS.items() if len(tasks) > 1)
    path = federation._write_client(tmp_path / name, name, federation.CLIENTS[name])
    cache = ArtifactStore(tmp_path / "cache", durable=False)
    return Workbench(Workplace(name, cache, tmp_path, ClientFile.read(path)))


@pytest.mark.parametrize("kept", [0, 1 << 30])
def test_data_are_decoded_once_while_they_fit(
    bench: Workbench, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.workbench.DECODED_BYTES", kept)
    job = federation.job("data")
    base = load_base(job.model)
    first, again = bench.data(JOB, job, base), bench.data(JOB, job, base)
    assert len(first) > 1
    same = [first[task] is again[task] for task in first]
    assert all(same) == bool(kept)
    assert len(bench._decoded) == (len(first) if kept else 1)


@pytest.mark.parametrize(
    "change",
    [
        {"components": ("encoder.text",)},
        {"tasks": {"vqa": (Modality.TEXT,)}},
        {"manifest": CLAIM.manifest | {"encoder.text": "4" * 64}},
        {"state_digest": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_trainings_for_an_assignment_that_was_given_anew_are_not_taken_over(
    bench: Workbench, change: dict[str, Any]
) -> None:
    bench = replace(bench, checkpoint_s=0.0)
    bench.checkpoints(CLAIM).finish("engaged", Finished({}, {"vqa": 0.5}, []))
    leased_again = CLAIM.model_copy(update={"lease": CLAIM.lease.model_copy(update={"attempt": 2})})
    assert bench.checkpoints(leased_again).finished("engaged") is not None
    given_anew = CLAIM.model_copy(update=change)
    assert bench.checkpoints(given_anew).finished("engaged") is None
    assert bench.checkpoints(CLAIM).finished("engaged") is None  # it was dropped


@pytest.mark.parametrize("free", [0, 1 << 40])
def test_mapped_pixels_count_against_the_disk_and_not_the_memory(
    bench: Workbench, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.data.loader._IN_MEMORY", 0)
    monkeypatch.setattr("worker.workbench.DECODED_BYTES", 1 << 14)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    job = federation.job("data")
    found = bench.data(JOB, job, load_base(job.model))
    pixels = [data.train.images for data in found.values() if data.train.images is not None]
    assert sum(images.nbytes for images in pixels) > 1 << 14
    assert len(bench._decoded) == (len(found) if free else 1)
