"""What is run: methods, families, seeds and divisions of the data, each with its job spec."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shares import PATTERNS, TASKS, Family, clients

from shared.job_spec import JobSpec

Json = Mapping[str, Any]

# The paper's, and what its reviewers asked for. A run of an algorithm gives several rows of the
# table: its models before and after stage two.
PAPER: Mapping[str, Json] = {
    "local": {"name": "local"},
    "fedavg": {"name": "fedavg"},
    "disentafl": {"name": "disentafl"},
    "tap": {"name": "tap"},
}
ASKED_FOR: Mapping[str, Json] = {
    "fedavg-equal": {"name": "fedavg", "equal_compute": True},
    "fedper": {"name": "fedper"},
    "ditto": {"name": "ditto"},
    "pfedme": {"name": "pfedme"},
    "perfedavg": {"name": "perfedavg"},
}
CONTROLS: Mapping[str, Json] = {
    "tap-always": {"name": "tap", "replacement": "always"},
    "tap-never": {"name": "tap", "replacement": "never"},
    "tap-plain": {"name": "tap", "distillation": False},
}
OPTIONS: Mapping[str, Json] = {
    "tap-validation": {"name": "tap", "signal": "validation"},
    "tap-auto": {"name": "tap", "signal": "validation", "margin": "auto"},
    "tap-all": {"name": "tap", "shared_components": "all"},
}
# ALGORITHM 4: of image classification and text generation; of text classification and images.
_MARGINS: Mapping[Family, tuple[float, float]] = {"flava": (0.01, 0.005), "vilt": (0.02, 0.01)}


@dataclass(frozen=True)
class Scale:
    """How large everything is."""

    training: Json
    rounds: Json
    post: Json
    model: Mapping[Family, Json]
    families: Sequence[Family]
    seeds: Sequence[int]
    methods: Mapping[str, Json]


_TWO_CORES = Scale(
    training={
        "local_steps": 10,
        "batch_size": 16,
        "learning_rate": {"peak": 3e-3, "warmup_from": 1e-3, "warmup_rounds": 2},
    },
    rounds={"count": 30, "clients_per_round": 6},
    post={"steps": 13, "learning_rate": 1e-3},
    model={family: {"preset": f"{family}-small"} for family in ("flava", "vilt")},
    families=("vilt",),
    seeds=(41, 42),
    methods=PAPER,
)
_PAPERS = Scale(
    training={
        "local_steps": 30,
        "batch_size": 32,
        "accumulation": 4,
        "learning_rate": {"peak": 4e-4, "warmup_from": 1e-4, "warmup_rounds": 20},
    },
    rounds={"count": 200, "clients_per_round": 2},
    post={"steps": 13, "learning_rate": 1e-4},
    model={family: {"preset": f"{family}-paper"} for family in ("flava", "vilt")},
    families=("flava", "vilt"),
    seeds=(41, 42, 43, 44),
    methods=PAPER,
)
_ALL = {**PAPER, **ASKED_FOR, **CONTROLS, **OPTIONS}
SCALES: Mapping[str, Scale] = {
    "small": _TWO_CORES,
    "grid": replace(_TWO_CORES, families=("vilt", "flava"), seeds=(41, 42, 43, 44), methods=_ALL),
    "full": _PAPERS,
    "trial": replace(  # whether all of it works: minutes, and scores that mean nothing
        _TWO_CORES,
        training={**_TWO_CORES.training, "local_steps": 1},
        rounds={"count": 2, "clients_per_round": 6},
        post={"steps": 1},
        seeds=(41,),
    ),
}


@dataclass(frozen=True)
class Run:
    """One job on one division of the data."""

    method: str
    family: Family
    seed: int
    alpha: float | None  # of the division; None: alike within a pattern
    margin: float | None = None  # instead of the paper's, for all tasks

    @property
    def name(self) -> str:
        """Names its result, too."""
        skew = "iid" if self.alpha is None else f"dirichlet-{self.alpha}"
        margin = "" if self.margin is None else f"-margin-{self.margin}"
        return f"{self.family}-{skew}-{self.method}{margin}-{self.seed}"

    def spec(self, scale: Scale) -> JobSpec:
        """The job."""
        return JobSpec.model_validate(
            {
                "name": self.name,
                "seed": self.seed,
                "algorithm": scale.methods[self.method],
                "model": scale.model[self.family],
                "training": scale.training,
                "rounds": scale.rounds,
                "post": scale.post,
                "evaluation": {"intervals": {"resamples": 0}},
                "tasks": {task: self._task(task) for task in tasks(self.family)},
                "clients": list(clients()),
            }
        )

    def _task(self, name: str) -> Json:
        task, (first, second) = TASKS[name], _MARGINS[self.family]
        paper = first if task.kind in {"image_classification", "text_generation"} else second
        described: dict[str, Any] = {
            "kind": task.kind,
            "modalities": list(task.modalities),
            "domains": list(task.domains),
            "margin": paper if self.margin is None else self.margin,
        }
        if task.classes:
            described["classes"] = list(task.classes)
        if task.kind == "text_generation":
            described["max_target_tokens"] = 8
        return described


def tasks(family: Family) -> list[str]:
    """The tasks of a family's patterns."""
    return sorted({task for pattern in PATTERNS[family] for task in pattern})


def runs(scale: Scale) -> Iterator[Run]:
    """All runs of a scale, a whole seed after the other."""
    for seed in scale.seeds:
        for family in scale.families:
            for method in scale.methods:
                yield Run(method, family, seed, None)
