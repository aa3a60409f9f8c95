"""Splits as tensors, and every way in which images and splits can be wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from shared.job_spec import TaskSpec
from worker.data.client_file import ClientFile
from worker.data.client_task import SPLITS
from worker.data.loader import Decoding, TaskData, load_task
from worker.data.sources import DataError
from worker.data.tokenizer import SPECIAL, Tokenizer

pytestmark = pytest.mark.unit

Rows = dict[str, list[dict[str, str]]]
VQA: dict[str, Any] = {"kind": "text_generation", "modalities": ["image", "text"]}
COLOUR: dict[str, Any] = {
    "kind": "image_classification",
    "modalities": ["image"],
    "classes": ["red", "blue"],
}
SAY: dict[str, Any] = {"kind": "text_generation", "modalities": ["text"]}
WORDS = [*SPECIAL, "red", "blue", "what", "colour", "?", "is", "it"]


class Client:
    """A client directory under construction."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "client"
        self.folder.mkdir()
        vocabulary = folder / "words.txt"
        vocabulary.write_text("\n".join(WORDS), encoding="utf-8")
        self.tokenizer = Tokenizer.from_vocabulary(vocabulary)

    def image(self, name: str, colour: str, size: int = 8, mode: str = "RGB") -> str:
        Image.new(mode, (size, size), colour).save(self.folder / name)
        return name

    def load(self, task: dict[str, Any], rows: Rows, **job: Any) -> TaskData:
        for split in SPLITS:
            lines = [json.dumps(row) + "\n" for row in rows[split]]
            (self.folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
        content = {"client": "c01", "tasks": {"t": task | {s: f"{s}.jsonl" for s in SPLITS}}}
        path = self.folder / "client.yaml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        spec = TaskSpec.model_validate(task | job)
        decoding = Decoding(self.tokenizer, 4, 10, self.folder)
        return load_task(ClientFile.read(path), "t", spec, decoding)


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path)


@pytest.fixture
def colours(client: Client) -> Rows:
    """One image for each split."""
    shades = {"train": "red", "validation": "blue", "test": "#0000f0"}
    return {
        split: [
            {"image": client.image(f"{split}.png", shade), "label": "red" if i == 0 else "blue"}
        ]
        for i, (split, shade) in enumerate(shades.items())
    }


def test_images_and_labels(client: Client, colours: Rows) -> None:
    data = client.load(COLOUR, colours)
    assert data.train.images is not None
    assert data.train.images.dtype == torch.uint8
    assert tuple(data.train.images.shape) == (1, 3, 4, 4)
    assert data.train.images[0, :, 0, 0].tolist() == [255, 0, 0]
    assert data.test.labels is not None
    assert data.test.labels.tolist() == [1]
    assert (data.train.tokens, data.train.targets, data.train.target_texts) == (None, None, ())
    assert len(data.validation) == 1


def test_pixels_of_large_splits_lie_on_the_disk_and_leave_nothing(
    client: Client, colours: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = client.load(COLOUR, colours).train.images
    there = set(client.folder.iterdir())
    monkeypatch.setattr("worker.data.loader._IN_MEMORY", 0)
    large = client.load(COLOUR, colours).train.images
    assert small is not None
    assert large is not None
    assert torch.equal(small, large)
    assert set(client.folder.iterdir()) == there
    maps = Path("/proc/self/maps").read_text().splitlines()
    assert [line for line in maps if str(client.folder) in line and "(deleted)" in line]


def test_labels_follow_the_order_of_the_classes(client: Client, colours: Rows) -> None:
    data = client.load(COLOUR | {"classes": ["blue", "red"]}, colours)
    assert data.train.labels is not None
    assert data.train.labels.tolist() == [1]


def test_questions_about_images(client: Client, colours: Rows) -> None:
    rows = {
        split: [
            {"image": row["image"], "text": "what colour is it?", "target": "red"},
            {"image": row["image"], "text": "it?", "target": "red blue red blue red"},
        ]
        for split, (row,) in colours.items()
    }
    train = client.load(VQA, rows, max_target_tokens=3).train
    assert train.tokens is not None
    assert train.targets is not None
    assert train.tokens.tolist() == [[2, 7, 8, 10, 11, 9, 3], [2, 11, 9, 3, 0, 0, 0]]
    assert train.targets.tolist() == [[2, 5, 3, 0], [2, 5, 6, 3]]
    assert train.target_texts == ("red", "red blue red blue red")
    assert train.answers == (("red",), ("red blue red blue red",))
    assert train.labels is None


def test_further_right_answers_are_kept_beside_the_target(client: Client, colours: Rows) -> None:
    train_image = colours["train"][0]["image"]
    rows: Any = {
        split: [{"image": row["image"], "text": "colour?", "target": "red"}]
        for split, (row,) in colours.items()
    }
    answers = ["blue", "red", "blue"]
    rows["train"].append({"image": train_image, "text": "is it?", "target": answers})
    data = client.load(VQA, rows, max_target_tokens=3)
    assert data.train.target_texts == ("red", "blue")
    assert data.train.answers == (("red",), ("blue", "red", "blue"))
    assert (data.test.other_texts, data.test.answers) == ((), (("red",),))


def test_domains_are_those_of_the_job(client: Client) -> None:
    rows: Rows = {
        split: [{"text": f"{split} one", "target": "red"}, {"text": split, "target": "blue"}]
        for split in SPLITS
    }
    data = client.load(SAY | {"domains": ["films"]}, rows, domains=["tweets", "films"])
    assert data.train.domains.tolist() == [1, 1]
    assert data.train.domains.dtype == torch.int64
    assert data.train.images is None


def test_loading_twice_gives_the_same_values(client: Client, colours: Rows) -> None:
    first, second = (client.load(COLOUR, colours).train.images for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.equal(second)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK"])
def test_other_image_modes(client: Client, colours: Rows, mode: str) -> None:
    name = "x.tiff" if mode == "CMYK" else "x.png"
    colours["train"][0]["image"] = client.image(name, "black", mode=mode)
    images = client.load(COLOUR, colours).train.images
    assert images is not None
    assert int(images.max()) <= 1


def test_transparent_is_white(client: Client, colours: Rows) -> None:
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(client.folder / "clear.png")
    colours["train"][0]["image"] = "clear.png"
    images = client.load(COLOUR, colours).train.images
    assert images is not None
    assert int(images.min()) == 255


def test_sixteen_bits_are_refused(client: Client, colours: Rows) -> None:
    Image.new("I;16", (8, 8), 40_000).save(client.folder / "deep.png")
    colours["train"][0]["image"] = "deep.png"
    with pytest.raises(DataError, match=r"train.jsonl line 1: .*'deep.png' .*convert it to 8 bits"):
        client.load(COLOUR, colours)


@pytest.mark.parametrize("broken", ["missing", "text", "truncated", "directory", "empty"])
def test_an_unreadable_image(client: Client, colours: Rows, broken: str) -> None:
    path = client.folder / "broken.png"
    if broken == "text":
        path.write_text("no image", encoding="utf-8")
    elif broken == "truncated":
        client.image("broken.png", "red", size=200)
        path.write_bytes(path.read_bytes()[:-60])
    elif broken == "directory":
        path.mkdir()
    elif broken == "empty":
        path.touch()
    colours["test"].append({"image": "broken.png", "label": "red"})
    expected = (
        "client c01: test.jsonl line 2: the image 'broken.png' cannot be read; "
        "replace the file or remove the row"
    )
    with pytest.raises(DataError) as caught:
        client.load(COLOUR, colours)
    assert str(caught.value) == expected


def test_an_image_that_is_damaged_in_a_way_of_its_format(client: Client, colours: Rows) -> None:
    path = client.folder / "broken.dds"
    Image.new("RGB", (8, 8), "red").save(path)
    whole = path.read_bytes()
    path.write_bytes(
        whole[:80] + bytes(4) + whole[84:]
    )  # how pixels are written: Pillow's own error
    colours["test"].append({"image": "broken.dds", "label": "red"})
    with pytest.raises(DataError, match=r"line 2: the image 'broken.dds' cannot be read; replace"):
        client.load(COLOUR, colours)


def test_an_image_of_too_many_pixels(
    client: Client, colours: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 1000)
    colours["test"].append({"image": client.image("large.png", "red", 50), "label": "red"})
    says = "line 2: the image 'large.png' has more than 178 million pixels; scale it down"
    with pytest.raises(DataError, match=says):
        client.load(COLOUR, colours)


@pytest.mark.parametrize("path", ["../outside.png", "/etc/hostname", "link.png", "a/../../x.png"])
def test_an_image_outside_the_directory(client: Client, colours: Rows, path: str) -> None:
    outside = client.folder.parent / "outside.png"
    Image.new("RGB", (8, 8)).save(outside)
    (client.folder / "link.png").symlink_to(outside)
    colours["train"][0]["image"] = path
    with pytest.raises(DataError, match=r"line 1: .* outside the client's directory; move it"):
        client.load(COLOUR, colours)


def test_a_path_that_cannot_be(client: Client, colours: Rows) -> None:
    with pytest.raises(DataError, match=r"c01: a.*is no usable path; correct it"):
        ClientFile(client="c01", tasks={"t": COLOUR | {"data": "a\0b.csv"}}).splits("t")
    colours["train"][0]["image"] = "x" * 5000
    with pytest.raises(DataError, match=r"train.jsonl line 1: "):
        client.load(COLOUR, colours)


def test_the_same_image_in_two_splits(client: Client, colours: Rows) -> None:
    """Another file name, another label and another question do not make it another sample."""
    copy = client.image("copy.png", "red")
    colours["test"].append({"image": copy, "label": "blue"})
    with pytest.raises(DataError) as caught:
        client.load(COLOUR, colours)
    assert str(caught.value).startswith(
        "client c01: test.jsonl line 2: is also in the train split (train.jsonl line 1); remove"
    )
    rows = {
        split: [{"image": r["image"], "text": split, "target": "red"} for r in part]
        for split, part in colours.items()
    }
    with pytest.raises(DataError, match="is also in the train split"):
        client.load(VQA, rows)


def test_the_same_text_in_two_splits(client: Client) -> None:
    rows: Rows = {split: [{"text": split, "target": "red"}] for split in SPLITS}
    rows["validation"].append({"text": " TRAIN ", "target": "blue"})
    with pytest.raises(DataError, match=r"validation.jsonl line 2: .*\(train.jsonl line 1\)"):
        client.load(SAY, rows)


def test_repetitions_inside_a_split_are_allowed(client: Client) -> None:
    rows: Rows = {split: [{"text": split, "target": "red"}] * 2 for split in SPLITS}
    assert len(client.load(SAY, rows).train) == 2


def test_an_empty_target_and_an_empty_split(client: Client) -> None:
    rows: Rows = {split: [{"text": split, "target": "red"}] for split in SPLITS}
    rows["test"][0]["target"] = ""
    with pytest.raises(DataError, match=r"test.jsonl line 1: target is empty; fill it in"):
        client.load(SAY, rows)
    rows["test"] = []
    with pytest.raises(DataError, match=r"test.jsonl: has no samples"):
        client.load(SAY, rows)


@pytest.mark.parametrize(
    ("job", "says"),
    [
        ({"classes": ["blue", "red"]}, "classes red, blue but the job asks for blue, red"),
        ({"kind": "image_generation", "classes": []}, "kind image_classification but"),
        ({"domains": ["photos"]}, "unknown domain general; add it to the job's domains"),
    ],
)
def test_client_and_job_must_agree(
    client: Client, colours: Rows, job: dict[str, Any], says: str
) -> None:
    with pytest.raises(DataError, match=says):
        client.load(COLOUR, colours, **job)


def test_of_many_classes_the_first_that_differ_are_named(client: Client, colours: Rows) -> None:
    classes = ["red", "blue", *(f"k{n}" for n in range(5000))]
    job = [*classes[:4000], "other", *classes[4001:]]
    with pytest.raises(DataError) as caught:
        client.load(COLOUR | {"classes": classes}, colours, classes=job)
    assert "has classes 5002 values, from number 4001 on k3998, k3999" in str(caught.value)
    assert "the job asks for 5002 values, from number 4001 on other, k3999" in str(caught.value)
    assert len(str(caught.value)) < 400
