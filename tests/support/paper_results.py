"""Results of bench/paper that are made up for tests: no run made any of them."""

import random
from typing import Any

KINDS = {"topics": "text_classification", "vqa": "text_generation"}
VARIANTS = {
    "local": ("engaged", "post_trained"),
    "fedavg": ("engaged", "post_trained"),
    "disentafl": ("engaged", "post_trained"),
    "tap": ("engaged", "post_trained", "personal", "distilled", "guarded"),
    "tap-plain": ("engaged", "personal"),
    "tap-auto": ("engaged", "personal", "distilled"),
    "ditto": ("engaged", "personal"),
}


def made_up(
    method: str, seed: int = 41, family: str = "vilt", *, named: str = "", **departs: Any
) -> dict[str, Any]:
    """A result that no run made, of clients c00, c01 and n0."""
    draw = random.Random(f"{method} {seed} {family} {departs}")  # noqa: S311 - to make up
    scores = [
        score(client, task + named, on, variant, round(draw.uniform(0, 1), 3))
        for client in ("c00", "c01", "n0")
        for task in KINDS
        for on in ("validation", "own", "whole")
        for variant in VARIANTS[method]
    ]
    run = {"method": method, "family": family, "seed": seed, "alpha": None, "margin": None}
    asked = {"name": method.split("-", maxsplit=1)[0], "guard": method == "tap"}
    described = {task + named: {"kind": kind} for task, kind in KINDS.items()}
    return {
        "commit": "0123456789abcdef",
        "command": f"python bench/paper/paper.py --scale made-up{named}",
        "run": {**run, "k": None, "alone": None, **departs},
        "spec": {"algorithm": asked, "tasks": described, "rounds": {"count": 6}},
        "seconds": 12.5,
        "cpu_seconds": 12.5,
        "optimizer_steps": 100,
        "samples": 800 if method != "local" else 400,
        "bytes_up": 3_000_000 if method != "local" else 0,
        "bytes_down": 4_000_000 if method != "local" else 0,
        "decisions": [decision(number, draw) for number in range(1, 7) for _ in range(3)],
        "scores": scores,
        "final": {},
    }


def score(client: str, task: str, on: str, variant: str, skill: float) -> dict[str, Any]:
    of = {"client": client, "task": task, "on": on, "variant": variant}
    return {
        **of,
        "metric": "accuracy",
        "value": skill / 2,
        "skill": skill,
        "n": 50,
        "loss": 1 - skill,
    }


def decision(number: int, draw: random.Random) -> dict[str, Any]:
    personal = None if number == 1 else 0.5
    replaced = number == 1 or draw.random() < 1 / number
    of = {"round": number, "client": "c00", "task": "topics", "engaged_loss": 0.4}
    return {**of, "personal_loss": personal, "margin": 0.02, "replaced": replaced}


def everything() -> list[dict[str, Any]]:
    """Made-up results for every section of both families."""
    return [
        result
        for family in ("vilt", "flava")
        for seed in (41, 42)
        for result in [
            *(made_up(method, seed, family) for method in VARIANTS),
            *(made_up("tap", seed, family, margin=margin) for margin in (0.0, 0.02, 0.5)),
            *(made_up("fedavg", seed, family, k=k) for k in (1, 2)),
            made_up("fedavg", seed, family, alone=2),
            *(made_up("fedavg", seed, family, alpha=alpha) for alpha in (0.5, 0.1)),
            *(made_up("tap", seed, family, alpha=alpha) for alpha in (0.5, 0.1)),
        ]
    ]


def with_skills(method: str, variant: str, topics: float, vqa: float) -> dict[str, Any]:
    """A made-up result in which c00 has these skills on own data, and c01 has 0.2 more."""
    result = made_up(method)
    of = {"topics": topics, "vqa": vqa}
    result["scores"] = [
        score(client, task, "own", variant, skill + more)
        for client, more in (("c00", 0.0), ("c01", 0.2))
        for task, skill in of.items()
    ]
    return result
