"""What runs have in common is done once: the same training from the same bytes, the same score.

TAP's engaged models are FedAvg's, bit for bit, and its variants differ in what they replace: so
half of their trainings and scores are the same. They are known by all that decides them, but for
the data: a memory is of one division's clients, who are known by their names.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn
from typing_extensions import override

from shared.artifacts import ArtifactStore
from shared.job_spec import JobSpec
from worker.artifacts import load_state, network_specs, save_state
from worker.models.network import Batch, State
from worker.training.loop import Rule
from worker.training.trainer import Trained, Trainer

Json = dict[str, Any]
# Of a job: its name, and what decides between trainings and how they count, none of which a
# training by the plain loss asks for.
_UNASKED = {"name", "algorithm", "evaluation", "clients"}
_UNASKED_OF_TASKS = {"margin", "distillation_weight"}


@dataclass
class Cost:
    """What was computed for a run; `remembered` of it by another run, which it would have cost."""

    optimizer_steps: int = 0
    samples: int = 0
    seconds: float = 0
    cpu_seconds: float = 0
    remembered_steps: int = 0

    def step(self, _: int) -> None:
        """A trainer has made one."""
        self.optimizer_steps += 1

    def forward(self, network: nn.Module, given: tuple[str, Batch]) -> None:
        """A network is about to compute; samples that a gradient is taken on count."""
        if network.training and torch.is_grad_enabled():
            self.samples += len(given[1])

    def since(self, before: "Cost") -> "Cost":
        """What came on top."""
        names = [each.name for each in fields(self)]
        return Cost(**{name: getattr(self, name) - getattr(before, name) for name in names})

    def again(self, cost: Json) -> None:
        """What another run has computed."""
        for name, value in cost.items():
            setattr(self, name, getattr(self, name) + value)
        self.remembered_steps += cost["optimizer_steps"]


@dataclass(frozen=True)
class Clock:
    """Seconds, and of them the process's own on a CPU."""

    began: float = field(default_factory=time.monotonic)
    computed: float = field(default_factory=time.process_time)

    def took(self) -> Json:
        """Since it was made."""
        return {
            "seconds": time.monotonic() - self.began,
            "cpu_seconds": time.process_time() - self.computed,
        }


class Memory:
    """Answers by what decides them, below one directory; for any number of processes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.states = ArtifactStore(root / "states", durable=False)

    def once(self, asked: Json, make: Callable[[], Json]) -> tuple[Json, bool]:
        """The answer, made unless it is known; and whether it was known."""
        name = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        path = self.root / "answers" / name[:2] / f"{name}.json"
        if path.is_file():
            known: Json = json.loads(path.read_text(encoding="utf-8"))
            return known, True
        made = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        part = self.states.new_part()
        part.write_text(json.dumps(made), encoding="utf-8")
        part.replace(path)
        return made, False

    def manifest(self, state: State, components: Iterable[str] | None = None) -> dict[str, str]:
        """A state, or some of its components, as their names in the store."""
        chosen = state if components is None else {name: state[name] for name in components}
        return save_state(self.states, chosen)


@dataclass(frozen=True)
class Remembering(Trainer):
    """A trainer that does not do again what was done by the plain loss.

    An algorithm's own rule is asked for more than can be told from outside: it is always done.
    """

    memory: Memory = field(kw_only=True)
    cost: Cost = field(kw_only=True)

    @classmethod
    def of(cls, trainer: Trainer, memory: Memory, cost: Cost) -> "Remembering":
        """The trainer, with a memory."""
        return cls(
            **{each.name: getattr(trainer, each.name) for each in fields(trainer)},
            memory=memory,
            cost=cost,
        )

    @override
    def _train(
        self, start: State, naming: tuple[int, str], steps: int, rate: float, rule: Rule
    ) -> Trained:
        """Known by the client, what is trained and how, and where it starts."""

        def train() -> Trained:
            return super(Remembering, self)._train(start, naming, steps, rate, rule)

        if type(rule) is not Rule or rule.loss != self.plain:
            return train()
        asked = {
            "client": self.client,
            "spec": _asked(self.spec),
            "naming": naming,
            "steps": steps,
            "rate": rate,
            "reads": self.reads,
            "start": self.memory.manifest(start),
        }
        found, was_known = self.memory.once(asked, lambda: self._made(train))
        if was_known:
            self.cost.again(found["cost"])
        manifest: Mapping[str, str] = found["state"]
        paths = {name: self.memory.states.open_path(sha) for name, sha in manifest.items()}
        return load_state(paths, network_specs(self.network, paths)), found["losses"]

    def _made(self, train: Callable[[], Trained]) -> Json:
        before, clock = Cost(**vars(self.cost)), Clock()
        state, losses = train()
        new = self.cost.since(before)
        cost = {"optimizer_steps": new.optimizer_steps, "samples": new.samples, **clock.took()}
        return {"state": self.memory.manifest(state), "losses": losses, "cost": cost}


def _asked(spec: JobSpec) -> Json:
    """What of the job decides a training by the plain loss."""
    left_out = {"tasks": dict.fromkeys(spec.tasks, _UNASKED_OF_TASKS)}
    every = dict.fromkeys(_UNASKED, True)
    return spec.model_dump(mode="json", exclude={**every, **left_out})
