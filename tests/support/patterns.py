"""The paper's ten patterns of clients on small random bases, to be run.

Tasks, kinds, modalities, domains, LoRA and numbers of layers are those of tests/support/paper.py.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from types import MappingProxyType
from typing import Any

import torch

from shared.job_spec import JobSpec
from shared.model_spec import Family
from shared.results import Variant
from tests.support import paper, small
from worker.algorithm.method import Personal
from worker.data.loader import TaskData
from worker.models.network import Batch, Network, State
from worker.training.batches import select
from worker.training.trainer import Trainer

CLIENTS: tuple[tuple[Family, int], ...] = tuple(
    (family, i) for family in sorted(paper.PATTERNS) for i in range(len(paper.PATTERNS[family]))
)
N_SAMPLES = 6
_LONGEST = 6  # generated tokens
_BASES: Mapping[Family, Mapping[str, int]] = {
    "flava": {"image_layers": 1, "text_layers": 1, "fusion_layers": 2},
    "vilt": {"fusion_layers": 8},
}


def writing(client: tuple[Family, int]) -> bool:
    """Whether a client of that pattern generates texts."""
    family, pattern = client
    return any(
        paper.TASKS[task]["kind"] == "text_generation" for task in paper.PATTERNS[family][pattern]
    )


WRITERS = tuple(filter(writing, CLIENTS))


@cache
def job(family: Family, trainable: str = "lora") -> JobSpec:
    """The paper's job of that family over a small random base."""
    given = paper.job(family).model_dump(mode="json")
    for task in given["tasks"].values():
        task["max_target_tokens"] = _LONGEST
    sizes = {"hidden_size": 16, "heads": 2, "image_size": 16, "patch_size": 8, **_BASES[family]}
    model = {"preset": f"{family}-paper", "weights": "random", "random": sizes}
    training = {
        "local_steps": 1,
        "learning_rate": {"peak": 1e-2, "warmup_rounds": 0},
    }
    changes: dict[str, Any] = {"model": {**model, "trainable": trainable}, "training": training}
    return JobSpec.model_validate({**given, **changes})


@dataclass(frozen=True)
class Client:
    """A client of a pattern at version 0. Its network is shared: `at` sets it to a state."""

    job: JobSpec
    tasks: tuple[str, ...]
    network: Network
    start: State
    data: Mapping[str, TaskData]

    def at(self, state: State) -> Network:
        """The network with a state, without dropout and without gradients."""
        self.network.load(state)
        self.network.zero_grad()
        return self.network.eval()

    def trainer(self, tasks: Iterable[str] | None = None) -> Trainer:
        """Trains the client's network on the data of all, or some, of its tasks."""
        chosen = self.tasks if tasks is None else tasks
        data = {task: self.data[task] for task in chosen}
        return Trainer("c01", self.job, self.network, data)

    @cached_property
    def stepped(self) -> State:
        """After a step, when no low-rank pair is zero any more."""
        state, _ = self.trainer().local_steps(self.start, 1, "engaged")
        return state

    def names(self, task: str) -> set[str]:
        """C(o) of a task."""
        return {str(component) for component in small.task_components(self.job, task)}

    def batch(self, task: str) -> Batch:
        """All training samples of a task."""
        return select(self.data[task].train, torch.arange(N_SAMPLES))


@cache
def client(family: Family, pattern: int) -> Client:
    """A client of that pattern."""
    return _client(job(family), paper.PATTERNS[family][pattern])


@cache
def everyone(family: Family, trainable: str = "lora") -> Client:
    """A client that has all tasks of the family's patterns."""
    given = job(family, trainable)
    return _client(given, tuple(given.tasks))


def _client(of: JobSpec, tasks: tuple[str, ...]) -> Client:
    """With batches of all samples, so that a step sees every domain."""
    training = of.training.model_copy(update={"batch_size": N_SAMPLES * len(tasks)})
    given = of.model_copy(update={"training": training})
    network = small.network(given, tasks)
    return Client(given, tasks, network, network.state(), small.data(given, tasks, N_SAMPLES))


def same(a: State, b: State) -> bool:
    """Whether two states have the same components, tensors and bits."""
    return a.keys() == b.keys() and all(_same_part(a[n], b[n]) for n in a)


def _same_part(a: Mapping[str, torch.Tensor], b: Mapping[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[t], b[t]) for t in a)


def changed(a: State, b: State) -> set[str]:
    """The components of which a tensor differs."""
    return {name for name in a if not _same_part(a[name], b[name])}


def moved(state: State, by: float = 0.01) -> State:
    """A state that differs in every value."""
    return {name: {t: v + by for t, v in tensors.items()} for name, tensors in state.items()}


def personal(state: State, losses: Mapping[str, float] = MappingProxyType({})) -> Personal:
    """Z with its losses."""
    return Personal({Variant.PERSONAL: state}, losses)
