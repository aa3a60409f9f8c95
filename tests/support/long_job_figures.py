"""What the clients of a made-up long job report: figures by rule, no two alike by chance."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

N_BYTES = 4360  # of each component's file, as long_job describes it
VARIANTS = ("engaged", "personal", "distilled")
_HELD = {"lease_id": str(UUID(int=0)), "attempt": 1}


def trained(
    client: str, tasks: Iterable[str], number: int, components: Mapping[str, str]
) -> dict[str, Any]:
    """A result of training in round `number`: losses fall, every third decision replaces."""
    engaged = {task: loss(client, task, number) for task in tasks}
    return {
        **_HELD,
        "kind": "train",
        "components": dict(components),
        "losses": {t: {"engaged": x, "personal": 0.9 * x} for t, x in engaged.items()},
        "decisions": [
            {
                "task": task,
                "engaged_loss": engaged[task],
                "personal_loss": None if number == 1 else 0.95 * engaged[task],
                "margin": 0.01,
                "replaced": number == 1 or (number + place) % 3 == 0,
            }
            for place, task in enumerate(engaged)
        ],
        "state_digest": sha(client, "state", number),
        "traffic": _traffic(len(components)),
    }


def personalized() -> dict[str, Any]:
    """A result of stage two."""
    return {**_HELD, "kind": "personalize", "losses": {}, "traffic": _traffic(5)}


def measured(client: str, tasks: Iterable[str]) -> dict[str, Any]:
    """A result of evaluation."""
    names = list(tasks)
    scores = {
        variant: {task: _score(0.6 + 0.1 * place + loss(client, task, 1) / 50) for task in names}
        for place, variant in enumerate(VARIANTS)
    }
    both = {"scores": scores, "validation": scores}
    return {**_HELD, "kind": "evaluate", **both, "traffic": _traffic(0)}


def sha(*what: object) -> str:
    """A hash that stands for these."""
    return hashlib.sha256(repr(what).encode()).hexdigest()


def loss(client: str, task: str, number: int) -> float:
    """Falls from round to round, from a start that the client and the task have."""
    start = 1.5 + int(sha(client, task)[:4], 16) / 0xFFFF
    return start * math.exp(-number / 80) + 0.05 * math.sin(number)


def _traffic(n_components: int) -> dict[str, Any]:
    moved = n_components * N_BYTES
    return {"bytes_down": moved, "bytes_up": moved, "seconds": 42.5}


def _score(value: float) -> dict[str, Any]:
    low, high = value - 0.1, value + 0.1
    return {
        "metric": "accuracy",
        "value": value,
        "reference": 0.5,
        "skill": 2 * value - 1,
        "n": 20,
        "metrics": {"accuracy": value, "macro_f1": low, "loss": 1 - value},
        "intervals": {"accuracy": [low, high], "macro_f1": [low, high]},
        "encoder": None,
        "of": None,
    }
