"""Public data as one client's: all of the training part, with the public test part as its test."""

import json
import random
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import yaml
from fashion import CLASSES
from fashion import obtain as obtain_fashion
from fashion import read as read_fashion
from packages import EASY_VQA, obtain
from PIL import Image
from sources import articles

_VALIDATION = 0.05
_SEED = 2611
Row = Mapping[str, str]
Parts = tuple[Sequence[Row], Sequence[Row]]  # train, test
Described = dict[str, object]  # the task, as a client file has it


def write(task: str, folder: Path, cache: Path) -> Path:
    """Write the client of a task; returns its client file. Raises PrepareError."""
    packages = cache.resolve() / "packages"
    obtain(packages)
    home = folder / task
    home.mkdir(parents=True)
    described, (train, test) = _TASKS[task](home, packages)
    train, validation = _apart(train)
    for split, rows in (("train", train), ("validation", validation), ("test", test)):
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (home / f"{split}.jsonl").write_text(lines, encoding="utf-8")
        described = {**described, split: f"{split}.jsonl"}
    path = home / "client.yaml"
    path.write_text(yaml.safe_dump({"client": "all", "tasks": {task: described}}), encoding="utf-8")
    return path


def _apart(rows: Sequence[Row]) -> Parts:
    """Most of the rows, and those for validation: all rows of an image on one side."""
    keys = sorted({row.get("image", row.get("text", "")) for row in rows})
    random.Random(_SEED).shuffle(keys)  # noqa: S311 - to share out, not to hide
    chosen = set(keys[: round(_VALIDATION * len(keys))])
    aside = [row for row in rows if row.get("image", row.get("text", "")) in chosen]
    rest = [row for row in rows if row.get("image", row.get("text", "")) not in chosen]
    return rest, aside


def _questions(home: Path, packages: Path) -> tuple[Described, Parts]:
    """easy-VQA with all its questions, the negated ones too."""
    (home / "images").mkdir()
    with zipfile.ZipFile(packages / EASY_VQA.file) as archive:
        train, test = (_asked(archive, part, home) for part in ("train", "test"))
    return {"kind": "text_generation", "modalities": ["image", "text"]}, (train, test)


def _asked(archive: zipfile.ZipFile, part: str, home: Path) -> list[Row]:
    root = f"easy_vqa/data/{part}"
    rows: list[Row] = []
    for question, answer, number in json.loads(archive.read(f"{root}/questions.json")):
        name = f"images/{part}-{number}.png"
        if not (home / name).is_file():
            (home / name).write_bytes(archive.read(f"{root}/images/{number}.png"))
        rows.append({"image": name, "text": question, "target": answer})
    return rows


def _topics(_: Path, packages: Path) -> tuple[Described, Parts]:
    """Reuters-21578 R8; texts that stand in both parts only train."""
    older, newer = articles(packages)
    train, test = (
        [{"text": " ".join(a.words), "label": a.topic} for a in p] for p in (older, newer)
    )
    classes = sorted({row["label"] for row in train})
    described: Described = {
        "kind": "text_classification",
        "modalities": ["text"],
        "classes": classes,
    }
    return described, (train, test)


def _clothes(home: Path, packages: Path) -> tuple[Described, Parts]:
    """Fashion-MNIST; the few images that stand in both parts only train."""
    files = obtain_fashion(packages)
    (home / "images").mkdir()
    seen: set[bytes] = set()
    parts: list[list[Row]] = []
    for part in ("train", "t10k"):
        pixels, labels = read_fashion(files, part)
        rows: list[Row] = []
        for number, (image, label) in enumerate(zip(pixels, labels.tolist(), strict=True)):
            content = image.numpy().tobytes()
            if content not in seen:
                name = f"images/{part}-{number}.png"
                Image.fromarray(image.numpy()).save(home / name)
                rows.append({"image": name, "label": CLASSES[label]})
            seen.add(content)
        parts.append(rows)
    described: Described = {
        "kind": "image_classification",
        "modalities": ["image"],
        "classes": list(CLASSES),
    }
    return described, (parts[0], parts[1])


_TASKS: Mapping[str, Callable[[Path, Path], tuple[Described, Parts]]] = {
    "easy-vqa": _questions,
    "reuters-r8": _topics,
    "fashion-mnist": _clothes,
}
TASKS: Iterable[str] = sorted(_TASKS)
