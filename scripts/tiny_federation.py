"""Two clients with a few sentences each, and a job for them: enough to see a stack work."""

import json
from pathlib import Path
from typing import Any

CLIENTS = ("c01", "c02")
CLASSES = ("bad", "good")
MOOD: dict[str, Any] = {
    "kind": "text_classification",
    "modalities": ["text"],
    "classes": list(CLASSES),
}
SPEC: dict[str, Any] = {
    "name": "compose-check",
    "algorithm": {"name": "tap"},
    "model": {
        "random": {
            "hidden_size": 16,
            "heads": 2,
            "image_layers": 1,
            "text_layers": 1,
            "fusion_layers": 1,
            "image_size": 16,
        },
        "trainable": "full",
        "max_text_tokens": 16,
    },
    "training": {"local_steps": 2, "batch_size": 8},
    "rounds": {"count": 1},
    "post": {"steps": 1},
    "tasks": {"mood": MOOD},
    "clients": list(CLIENTS),
}
SPLITS = ("train", "validation", "test")


def write_clients(directory: Path) -> None:
    """Write NAME/client.yaml and its data for both, readable by any user, as a container's is."""
    for client in CLIENTS:
        home = directory / client
        home.mkdir(parents=True)
        task = MOOD | {split: f"{split}.jsonl" for split in SPLITS}
        for split in SPLITS:
            (home / task[split]).write_text(_rows(f"{split} {client}"), encoding="utf-8")
        description = json.dumps({"client": client, "tasks": {"mood": task}})
        (home / "client.yaml").write_text(description, encoding="utf-8")
        for path in (directory, home, *home.iterdir()):
            path.chmod(0o755 if path.is_dir() else 0o644)


def _rows(words: str) -> str:
    rows = ({"text": f"{words} {i}", "label": CLASSES[i % 2]} for i in range(8))
    return "".join(json.dumps(row) + "\n" for row in rows)
