"""Folders of images: labels, splits, names and links, as the library takes them."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets import Image as ImageFeature
from datasets import load_dataset
from PIL import Image

from worker.data.client_file import ClientFile
from worker.data.rows import Needs, Row, read_rows
from worker.data.sources import DataError, StoredImage

pytestmark = pytest.mark.unit

PICTURES: dict[str, Any] = {
    "kind": "image_classification", "modalities": ["image"], "classes": ["red", "blue"],
    "data": "p", "split": {"validation": 0.2, "test": 0.3, "seed": 1},
}  # fmt: skip


def picture(path: Path, colour: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path)
    return path


def client(folder: Path) -> ClientFile:
    (folder / "client.yaml").write_text(yaml.safe_dump({"client": "c1", "tasks": {"t": PICTURES}}))
    return ClientFile.read(folder / "client.yaml")


def test_an_image_folder_is_labelled_as_by_the_library(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    picture(folder / "red" / "a.png", "red")
    picture(folder / "red" / "b.jpg", "red")
    picture(folder / "blue" / "c.PNG", "blue")
    (folder / "blue" / "notes.txt").write_text("no image")
    needs = Needs(("image", "label"), ("red", "blue"), ("general",))
    found = {str(row.image.path): row.label for row in read_rows(folder, "p", needs) if row.image}
    cache = str(tmp_path / "cache")
    theirs = load_dataset("imagefolder", data_dir=str(folder), split="train", cache_dir=cache)
    theirs = theirs.cast_column("image", ImageFeature(decode=False))
    names = theirs.features["label"].names
    assert found == {row["image"]["path"]: names[row["label"]] for row in theirs}


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_an_image_folder_with_a_description(tmp_path: Path, name: str) -> None:
    first = picture(tmp_path / "p" / "a.png", "red")
    lines = {"metadata.csv": "file_name,text\na.png,what\n",
             "metadata.jsonl": '{"file_name": "a.png", "text": "what"}\n'}  # fmt: skip
    (tmp_path / "p" / name).write_text(lines[name])
    [row] = read_rows(tmp_path / "p", "p", Needs(("image", "text"), (), ("general",)))
    assert (row.image, row.text) == (StoredImage(first), "what")


def test_hidden_files_are_no_images_as_in_the_library(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    for name in ("a.png", "._a.png", ".ipynb_checkpoints/a.png", "__MACOSX/a.png", "b/.c/a.png"):
        picture(folder / "red" / name, "red")
    needs = Needs(("image", "label"), ("red",), ("general",))
    [row] = read_rows(folder, "p", needs)
    cache = str(tmp_path / "cache")
    theirs = load_dataset("imagefolder", data_dir=str(folder), split="train", cache_dir=cache)
    theirs = theirs.cast_column("image", ImageFeature(decode=False))
    assert row.image is not None
    assert [each["image"]["path"] for each in theirs] == [str(row.image.path)]


def test_a_folder_that_may_not_be_read_is_not_taken_for_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for colour in ("red", "blue"):
        picture(tmp_path / "p" / colour / "a.png", colour)
    look = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path).name == "blue":
            raise PermissionError(errno.EACCES, "no", str(path))
        return look(path)

    monkeypatch.setattr("os.scandir", scandir)
    needs = Needs(("image",), (), ("general",))
    with pytest.raises(DataError, match=r"^p: cannot be read \(Permission denied\); correct the"):
        read_rows(tmp_path / "p", "p", needs)


def test_splits_of_a_folder_are_the_same_wherever_it_lies(tmp_path: Path) -> None:
    drawn = []
    for place in ("here", "somewhere/else"):
        for n in range(20):
            picture(tmp_path / place / "p" / "red" / f"{n}.png", "red")
        splits = client(tmp_path / place).splits("t")
        drawn.append({split: [row.where for row in rows] for split, rows in splits.items()})
    assert drawn[0] == drawn[1]


def test_names_that_are_no_utf_8(tmp_path: Path) -> None:
    for n in range(6):
        picture(tmp_path / "p" / "red" / f"{n}.png", "red")
    (tmp_path / "p/red/1.png").rename(tmp_path / "p/red" / os.fsdecode(b"\xe4.png"))
    file = client(tmp_path)
    assert sum(map(len, file.splits("t").values())) == 6
    (tmp_path / "p/red" / os.fsdecode(b"\xe4.png")).write_bytes(b"")
    skipped: list[DataError] = []
    file.splits("t", skipped)
    [said] = map(str, skipped)
    assert said.isprintable()
    assert said.startswith("client c1: p 'red/\\udce4.png': the image '\\udce4.png' cannot be read")


def test_where_the_client_lies_is_not_told(tmp_path: Path) -> None:
    picture(tmp_path / "out.png", "red")
    (tmp_path / "c/p/red").mkdir(parents=True)
    (tmp_path / "c/p/red/a.png").symlink_to(tmp_path / "out.png")
    file, row = client(tmp_path / "c"), StoredImage(tmp_path / "c/p/red/a.png")
    with pytest.raises(DataError, match=r"^p: 'p/red/a\.png' lies outside the client's"):
        file.image_file(Row("x", "general", row), "p")


def test_folders_that_are_links(tmp_path: Path) -> None:
    """In the client's directory they are read; out of it they are told, and not left out."""
    picture(tmp_path / "out" / "a.png", "red")
    for n in range(6):
        picture(tmp_path / "c" / "shots" / f"{n}.png", "red")
    (tmp_path / "c/p").mkdir()
    (tmp_path / "c/p/red").symlink_to("../shots")
    file = client(tmp_path / "c")
    assert sum(map(len, file.splits("t").values())) == 6
    assert len(file.files("t")) == 6
    (tmp_path / "c/p/blue").symlink_to(tmp_path / "out")
    [outside] = [row for rows in file.splits("t").values() for row in rows if row.label == "blue"]
    with pytest.raises(DataError, match=r"^p: 'p/blue/a\.png' lies outside the client's"):
        file.image_file(outside, "p")


def test_several_data_sets_that_were_saved_together(tmp_path: Path) -> None:
    (tmp_path / "p" / "train").mkdir(parents=True)
    (tmp_path / "p" / "dataset_dict.json").write_text('{"splits": ["train"]}')
    with pytest.raises(DataError, match=r"p: holds several data sets; name one of its folders"):
        client(tmp_path).splits("t")


def test_a_folder_that_lies_in_itself(tmp_path: Path) -> None:
    picture(tmp_path / "p" / "red" / "a.png", "red")
    (tmp_path / "p/red/again").symlink_to("..")
    with pytest.raises(DataError, match=r"^client c1: p: cannot be read \(Too many levels of"):
        client(tmp_path).splits("t")
    assert [path.name for path in client(tmp_path).files("t")] == ["a.png"]
