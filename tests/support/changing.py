"""A client whose files a test changes: questions about images, and moods of texts."""

import json
from pathlib import Path
from uuid import UUID

import yaml
from PIL import Image

from shared.artifacts import ArtifactStore
from tests.support import small
from worker.data.client_file import ClientFile
from worker.workbench import Workbench
from worker.workplace import Workplace

JOB = UUID(int=1)
SPEC = small.spec(
    clients=["c01"],
    tasks={
        "vqa": {"kind": "text_generation", "modalities": ["image", "text"]},
        "moods": {
            "kind": "text_classification",
            "modalities": ["text"],
            "classes": ["bad", "good"],
        },
    },
)
VQA = {
    "kind": "text_generation",
    "modalities": ["image", "text"],
    "data": "vqa.jsonl",
    "split": {"validation": 0.2, "test": 0.2, "by": "image"},
}
MOODS = {
    "kind": "text_classification",
    "modalities": ["text"],
    "classes": ["bad", "good"],
    "on_error": "skip",
    "train": "train.jsonl",
    "validation": "validation.jsonl",
    "test": "test.jsonl",
}


def lines(path: Path, rows: list[dict[str, str]]) -> None:
    """Rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def moods(first: int, n: int) -> list[dict[str, str]]:
    """Rows that differ in a number."""
    return [{"text": f"word {i}", "label": ("bad", "good")[i % 2]} for i in range(first, first + n)]


def picture(path: Path, seed: int) -> None:
    """An image of noise."""
    Image.effect_noise((16, 16), 50 + seed).convert("RGB").save(path)


def write_client(folder: Path) -> None:
    """A client with images, questions about them, and moods."""
    asked = []
    for i in range(10):
        picture(folder / f"{i}.png", i)
        asked.append({"image": f"{i}.png", "text": f"what is {i}", "target": f"a {i}"})
    lines(folder / "vqa.jsonl", asked)
    for split, first in (("train", 0), ("validation", 20), ("test", 40)):
        lines(folder / f"{split}.jsonl", moods(first, 6))
    described = {"client": "c01", "tasks": {"vqa": VQA, "moods": MOODS}}
    (folder / "client.yaml").write_text(yaml.safe_dump(described))


def bench(folder: Path) -> Workbench:
    """A training process that has just begun."""
    file = ClientFile.read(folder / "client.yaml")
    cache = ArtifactStore(folder / "work" / "cache", durable=False)
    return Workbench(Workplace("c01", cache, folder / "work", file))
