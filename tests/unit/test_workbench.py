"""What a client's data cost in the training process."""

from pathlib import Path
from uuid import UUID

import pytest

from shared.artifacts import ArtifactStore
from tests.support import federation
from worker.data.client_file import ClientFile
from worker.models.base import load_base
from worker.workbench import Workbench
from worker.workplace import Workplace

pytestmark = pytest.mark.unit
JOB = UUID(int=1)


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
