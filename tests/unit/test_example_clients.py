"""The committed example clients are what their script draws, and fit their job."""

import errno
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from PIL import Image

from cli.stack.settings import client_files
from shared import spec_files
from shared.job_spec import JobSpec
from tests.support.simulate import load_simulate
from worker.data.client_file import ClientFile
from worker.doctor.examine import Reading, examine

pytestmark = pytest.mark.unit

CLIENTS = Path(__file__).parents[2] / "examples" / "clients"
JOB = CLIENTS.parent / "jobs" / "own-data.yaml"
LARGEST_BYTES = 300_000


def content(path: Path) -> object:
    """What a file says: PNG's compression differs with the library's version, its pixels do not."""
    if path.suffix != ".png":
        return path.read_bytes()
    with Image.open(path) as image:
        return image.size, image.convert("RGB").tobytes()


def test_the_script_draws_exactly_what_is_committed(tmp_path: Path) -> None:
    found = importlib.util.spec_from_file_location("draw", CLIENTS / "draw.py")
    assert found is not None
    assert found.loader is not None
    draw = importlib.util.module_from_spec(found)
    found.loader.exec_module(draw)
    draw.main(tmp_path)
    names = [file.name for file in client_files(CLIENTS)]
    assert names == ["lab.yaml", "shop.yaml"]
    folders = [Path(name).stem for name in names]
    drawn, committed = (
        {f.relative_to(root): content(f) for n in folders for f in (root / n).rglob("*.*")}
        for root in (tmp_path, CLIENTS)
    )
    assert len(drawn) > 100
    assert drawn == committed
    sizes = [f.stat().st_size for f in CLIENTS.rglob("*") if f.is_file()]
    assert sum(sizes) < LARGEST_BYTES


@pytest.mark.parametrize("name", ["lab", "shop"])
def test_the_doctor_finds_them_sound_for_their_job(name: str) -> None:
    job = spec_files.load(JobSpec, JOB)
    card = examine(ClientFile.read(CLIENTS / f"{name}.yaml"), job, Reading())
    assert card.sound, card.findings
    warnings = [finding.sentence for finding in card.findings]
    skipped = "client shop: shop/mail.csv line 43: body is empty; fill it in or remove the row"
    assert warnings == ([skipped] if name == "shop" else [])
    assert set(card.tasks) <= set(job.tasks)
    assert card.tasks["messages"].skipped == (name == "shop")


def test_the_simulation_tells_of_a_base_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = yaml.safe_load(JOB.read_text(encoding="utf-8"))
    (tmp_path / "job.yaml").write_text(yaml.safe_dump({**job, "model": {"weights": "/nowhere"}}))
    with load_simulate() as simulate, pytest.raises(SystemExit, match="/nowhere"):
        main_of(simulate, monkeypatch, tmp_path / "job.yaml", client_files(CLIENTS))


def main_of(
    simulate: ModuleType, monkeypatch: pytest.MonkeyPatch, job: Path, files: Sequence[Path]
) -> None:
    """Its command."""
    monkeypatch.setattr("sys.argv", ["simulate.py", str(job), *map(str, files)])
    simulate.main()


def test_the_simulation_tells_of_two_files_of_one_client(monkeypatch: pytest.MonkeyPatch) -> None:
    files = client_files(CLIENTS)
    with load_simulate() as simulate, pytest.raises(SystemExit, match="leave all but one out"):
        main_of(simulate, monkeypatch, JOB, [*files, files[0]])


def test_the_simulation_tells_of_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with load_simulate() as simulate:
        monkeypatch.setattr(simulate, "run", full)
        with pytest.raises(SystemExit, match=r"No space left .* TMPDIR"):
            main_of(simulate, monkeypatch, JOB, client_files(CLIENTS))
