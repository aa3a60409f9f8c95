"""The worker's directory: one worker, no leftovers, and no more cache than allowed."""

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from uuid import UUID

import pytest

from shared.artifacts import ArtifactStore
from shared.messages import HeldAssignment
from shared.results import TrainResult
from worker import disk
from worker.journal import Entry, Journal, Stage

pytestmark = pytest.mark.unit

LEASE = {"lease_id": UUID(int=1), "attempt": 1}
ROOT = Path(__file__).parents[2]


@pytest.fixture
def cache(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "cache", durable=False)


def filled(cache: ArtifactStore, count: int) -> list[str]:
    """Artifacts of 1000 bytes, the first one unused for longest."""
    made = [cache.write([bytes([n]) * 1000]) for n in range(count)]
    for age, sha in enumerate(reversed(made)):
        os.utime(cache.path(sha), (1e9 - age, 1e9 - age))
    return made


def left(cache: ArtifactStore, made: list[str]) -> list[int]:
    return [number for number, sha in enumerate(made) if cache.has(sha)]


def test_the_cache_keeps_what_was_used_last(cache: ArtifactStore) -> None:
    made = filled(cache, 6)
    disk.trim(cache, 6000, ())
    assert left(cache, made) == [0, 1, 2, 3, 4, 5]
    cache.touch(made[:1])
    disk.trim(cache, 3500, ())
    assert left(cache, made) == [0, 4, 5]
    assert cache.missing(made) == made[1:4]


def test_the_cache_keeps_what_is_still_to_be_delivered(
    cache: ArtifactStore, tmp_path: Path
) -> None:
    made = filled(cache, 3)
    held = HeldAssignment(assignment_id=UUID(int=2), **LEASE)
    result = TrainResult(**LEASE, components={"proj": made[0]}, losses={})
    entry = Entry(held=held, job_id=UUID(int=3), stage=Stage.TRAINED, result=result)
    Journal(tmp_path / "journals" / "c01.json").write(entry)
    Journal(tmp_path / "journals" / "c02.json").write(Entry(held=held, job_id=UUID(int=3)))
    assert disk.needed(tmp_path) == {made[0]}
    disk.trim(cache, 0, disk.needed(tmp_path))
    assert left(cache, made) == [0]


def test_what_a_killed_worker_was_writing_is_removed(cache: ArtifactStore, tmp_path: Path) -> None:
    personal = ArtifactStore(tmp_path / "personal" / "c01" / "job")
    parts = [store.new_part() for store in (cache, personal)]
    (whole,) = filled(cache, 1)
    (tmp_path / "journals").mkdir()
    parts.append(tmp_path / "journals" / "c01.part")
    parts[-1].touch()
    disk.clear_parts(tmp_path)
    assert not any(part.exists() for part in parts)
    assert cache.has(whole)


@pytest.mark.parametrize("name", ["short", "long" * 30])
def test_temporary_files_are_found_by_the_next_worker(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as place:
        monkeypatch.setattr(tempfile, "tempdir", None)
        work_dir = Path(place, name)
        work_dir.mkdir()
        disk.keep_temporary_files(work_dir)
        left_behind = Path(tempfile.mkdtemp())
        assert left_behind.resolve().is_relative_to(work_dir.resolve())
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(left_behind / "listener-12345678"))
        disk.clear_parts(work_dir)
        assert not left_behind.exists()


def test_a_directory_has_one_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_LOCKED_FOR_S", 0.2)
    code = (
        "import sys; from pathlib import Path; from worker.disk import owned\n"
        "with owned(Path(sys.argv[1])): print('owned', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"owned\n"
        with pytest.raises(ValueError, match="another worker uses"), disk.owned(tmp_path):
            pass
        other.kill()
    with disk.owned(tmp_path):
        pass
