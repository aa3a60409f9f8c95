"""Client directories with small real files for the job of tests.support.small."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from PIL import Image

from cli.stack.settings import StackSettings
from shared.job_spec import JobSpec
from tests.support import small
from worker.training import seeds

CLIENTS = {
    "c01": ("digits", "vqa"),
    "c02": ("digits", "drawing"),
    "c03": ("reviews", "titles"),
}
SIZES = {"train": 14, "validation": 4, "test": 6}
_WORDS = ("the", "film", "was", "good", "bad", "news", "red", "blue", "shape", "what", "is", "it")


def write(root: Path, clients: Mapping[str, tuple[str, ...]] = CLIENTS) -> list[Path]:
    """Write all clients, given with their tasks; returns their client files."""
    return [_write_client(root / name, name, tasks) for name, tasks in clients.items()]


def stack_settings(
    directory: Path,
    client_files: Sequence[Path],
    *,
    n_workers: int = 2,
    metrics_port: int | None = None,
) -> StackSettings:
    """A local stack that serves the clients and keeps all that it has below the directory."""
    return StackSettings(
        directory / "state",
        directory / "logs",
        tuple(client_files),
        durable=False,
        n_workers=n_workers,
        metrics_port=metrics_port,
    )


def job(name: str, **changes: Any) -> JobSpec:
    """The small job, asked of the first two clients and over all that they have."""
    clients = list(CLIENTS)[:2]
    tasks = {task: small.SPEC["tasks"][task] for client in clients for task in CLIENTS[client]}
    return small.spec(name=name, clients=clients, tasks=tasks, **changes)


def _write_client(directory: Path, name: str, tasks: tuple[str, ...]) -> Path:
    (directory / "images").mkdir(parents=True)
    entries: dict[str, Any] = {}
    for task in tasks:
        spec = small.SPEC["tasks"][task]
        entries[task] = {k: v for k, v in spec.items() if k != "max_target_tokens"}
        for split, n in SIZES.items():
            entries[task][split] = f"{task}-{split}.jsonl"
            rows = _rows(directory, f"{name}-{task}-{split}", spec, n)
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (directory / entries[task][split]).write_text(text)
    path = directory / "client.yaml"
    path.write_text(yaml.safe_dump({"client": name, "tasks": entries}))
    return path


def _rows(directory: Path, label: str, spec: Any, n: int) -> Iterator[dict[str, str]]:
    draw = seeds.generator("federation", label)
    for i in range(n):
        row = {}
        if "image" in spec["modalities"]:
            row["image"] = f"images/{label}-{i}.png"
            pixels = torch.randint(0, 256, (16, 16, 3), generator=draw, dtype=torch.uint8)
            Image.fromarray(pixels.numpy()).save(directory / row["image"])
        if "text" in spec["modalities"]:
            row["text"] = f"{_sentence(draw, 5)} {label.replace('-', ' ')} {i}"
        if "classes" in spec:
            row["label"] = spec["classes"][i % len(spec["classes"])]
        if spec["kind"] == "text_generation":
            row["target"] = _sentence(draw, 2)
        if "domains" in spec:
            row["domain"] = spec["domains"][i % len(spec["domains"])]
        yield row


def _sentence(draw: torch.Generator, n: int) -> str:
    numbers = torch.randint(0, len(_WORDS), (n,), generator=draw).tolist()
    return " ".join(_WORDS[number] for number in numbers)
