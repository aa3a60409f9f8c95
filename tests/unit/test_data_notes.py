"""A job's results on a client come from the same data all along, whatever becomes of its files."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml

from shared.job_spec import JobSpec
from tests.support import small
from tests.support.changing import JOB, SPEC, bench, picture, write_client
from worker.data.loader import TaskData
from worker.data.sources import DataError
from worker.models.base import load_base
from worker.workbench import Workbench

pytestmark = pytest.mark.unit

OTHER = UUID(int=2)
Changing = Callable[[Path], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A client's directory."""
    write_client(tmp_path)
    return tmp_path


def read(bench: Workbench, job: UUID = JOB, spec: JobSpec = SPEC) -> dict[str, TaskData]:
    return dict(bench.data(job, spec, load_base(spec.model)))


def keep_times(path: Path, change: Changing) -> None:
    """Change a file as `cp -p` does."""
    before = path.stat()
    change(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def other_word(path: Path) -> None:
    path.write_text(path.read_text().replace("word 3", "word 9").replace("what is 3", "what is 9"))


def other_label(path: Path) -> None:
    path.write_text(path.read_text().replace('"bad"', '"good"', 1))


def other_order(path: Path) -> None:
    first, second, *rest = path.read_text().splitlines()
    path.write_text("\n".join([second, first, *rest]) + "\n")


def broken_row(path: Path) -> None:
    path.write_text(path.read_text().replace('"word 5"', '"     "'))


CHANGES: dict[str, tuple[str, Changing, str]] = {
    "a word": ("train.jsonl", other_word, "'moods'.*train.jsonl \\(train\\)"),
    "a word of the same length and times": (
        "train.jsonl",
        lambda path: keep_times(path, other_word),
        "'moods'.*train.jsonl \\(train\\)",
    ),
    "a label": ("test.jsonl", other_label, "'moods'.*test.jsonl \\(test\\)"),
    "the order": ("train.jsonl", other_order, "'moods'.*train.jsonl \\(train\\)"),
    "a row that is skipped now": ("train.jsonl", broken_row, "'moods'.*train.jsonl \\(train\\)"),
    "one source of all splits": ("vqa.jsonl", other_word, "'vqa'.*vqa.jsonl \\("),
    "an image": ("3.png", lambda path: picture(path, 77), "'vqa'.*vqa.jsonl \\(.*its images"),
}


@pytest.mark.parametrize("change", sorted(CHANGES))
@pytest.mark.parametrize("restarted", [False, True])
def test_other_data_are_refused_until_the_old_ones_are_back(
    folder: Path, change: str, restarted: bool
) -> None:
    name, changing, says = CHANGES[change]
    serving = bench(folder)
    began = read(serving)
    old = (folder / name).read_bytes()
    changing(folder / name)
    if restarted:
        serving = bench(folder)
    with pytest.raises(DataError, match=f"c01: the data of task {says}.*put the old data back"):
        read(serving)
    with pytest.raises(DataError, match="--fresh"):
        read(serving)
    (folder / name).write_bytes(old)
    again = read(serving)
    assert {t: data.digests for t, data in again.items()} == {
        t: data.digests for t, data in began.items()
    }


def test_another_job_such_as_a_fork_begins_with_the_data_as_they_are(folder: Path) -> None:
    serving = bench(folder)
    began = read(serving)["moods"]
    other_word(folder / "train.jsonl")
    forked = read(serving, OTHER)["moods"]
    assert forked.digests["train"]["text"] != began.digests["train"]["text"]
    with pytest.raises(DataError, match="not those that the job began with"):
        read(serving)
    assert read(serving, OTHER)["moods"] is forked


def test_what_only_touches_a_file_goes_on(folder: Path) -> None:
    serving = bench(folder)
    first = read(serving)
    for path in sorted(folder.glob("*.*")):
        os.utime(path)
    (folder / "3.png").write_bytes((folder / "3.png").read_bytes())
    touched = read(serving)
    assert all(touched[task] is not first[task] for task in first), "they were read again"
    (folder / "train.jsonl").write_text((folder / "train.jsonl").read_text() + "\n\n")
    blank = read(serving)
    assert blank["moods"] is not touched["moods"]
    assert blank["vqa"] is touched["vqa"], "nothing of it has changed"


def test_an_image_that_has_gone_is_missed_although_its_pixels_are_kept(folder: Path) -> None:
    serving = bench(folder)
    read(serving)
    (folder / "3.png").rename(folder / "gone.png")
    with pytest.raises(DataError, match=r"3\.png' cannot be read"):
        read(serving)
    (folder / "gone.png").rename(folder / "3.png")
    assert read(serving)


def test_a_new_image_in_a_folder_is_seen(tmp_path: Path) -> None:
    task: dict[str, Any] = {
        "kind": "image_classification", "modalities": ["image"], "classes": ["a", "b"],
    }  # fmt: skip
    for i in range(12):
        path = tmp_path / "seen" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(path, i)
    described = {"client": "c01", "tasks": {"t": {**task, "data": "seen"}}}
    (tmp_path / "client.yaml").write_text(yaml.safe_dump(described))
    spec = small.spec(clients=["c01"], tasks={"t": task})
    serving = bench(tmp_path)
    first = read(serving, spec=spec)
    assert read(serving, spec=spec)["t"] is first["t"]
    picture(tmp_path / "seen" / "a" / "new.png", 50)
    with pytest.raises(DataError, match=r"'t' .* in seen \("):
        read(serving, spec=spec)


def test_a_note_that_cannot_be_read_is_no_permission(folder: Path) -> None:
    read(bench(folder))
    (note,) = (folder / "work" / "data" / "c01").glob("*.json")
    note.write_text("{")
    with pytest.raises(DataError, match=f"the note {JOB}.json .* is damaged; restore it"):
        read(bench(folder))
