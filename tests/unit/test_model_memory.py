"""Three models on one base take little more than one; the count is what a process really holds."""

import gc
from dataclasses import dataclass, field, replace

import pytest
import torch

from bench import model_memory
from bench.model_memory import ROUND, STAGE_TWO, Moment
from shared.model_spec import Family
from tests.support import paper, patterns, small
from worker.algorithm.method import NOBODY
from worker.algorithm.methods import method_of
from worker.models.network import Network
from worker.training.trainer import Trainer

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(("family", "pattern"), patterns.CLIENTS)
def test_x_z_and_teacher_take_at_most_1_3_models(family: Family, pattern: int) -> None:
    """As they are kept, and while they train, against one model kept and one that trains."""
    found = model_memory.sizes(paper.client(family, pattern))
    assert 0 < found.state < found.used <= found.base
    assert found.three_models <= 1.3
    assert found.three_used <= 1.3
    assert found.training <= 1.3


@dataclass
class Scales:
    """Weighs all float tensors of the process, in states of a network above what was there."""

    network: Network
    seen: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.parameters = [
            p for c in self.network.components for p in self.network.tensors(c).values()
        ]
        self.state_bytes = sum(p.nbytes for p in self.parameters)
        self.empty = self.bytes()

    def bytes(self) -> int:
        """Of every storage once."""
        gc.collect()
        found = [o for o in gc.get_objects() if issubclass(type(o), torch.Tensor)]
        found += [p.grad for p in self.parameters if p.grad is not None]
        storages = (t.untyped_storage() for t in found if t.is_floating_point())
        return sum({s.data_ptr(): s.nbytes() for s in storages}.values())

    def weigh(self, _: int = 0) -> None:
        """Note the number of states beyond the network's own tensors."""
        self.seen.append((self.bytes() - self.empty) / self.state_bytes)


def scaled(trainable: str) -> tuple[Trainer, Scales]:
    """A client that is weighed after the only step of each training."""
    job = small.spec(
        model=small.family_spec("flava", trainable).model.model_dump(mode="json"),
        training={**small.SPEC["training"], "local_steps": 1},
        post={"steps": 1},
    )
    at = Trainer("c01", job, small.network(job, ["drawing"]), small.data(job, ["drawing"]))
    method_of(at).round(at.network.state(), NOBODY, 1)  # what is made once is there
    scales = Scales(at.network)
    return replace(at, on_step=scales.weigh), scales


def expected(moments: tuple[Moment, ...]) -> list[object]:
    return [pytest.approx(moment.copies - 1, abs=0.1) for moment in moments]


@pytest.mark.parametrize("trainable", ["full", "lora"])
def test_a_round_holds_what_is_counted(trainable: str) -> None:
    at, scales = scaled(trainable)
    server, personal = at.network.state(), patterns.personal(at.network.state())
    outcome = method_of(at).round(server, personal, 2)
    scales.weigh()
    assert outcome.engaged is not None
    assert scales.seen == expected(ROUND)


@pytest.mark.parametrize("trainable", ["full", "lora"])
def test_stage_two_holds_what_is_counted(trainable: str) -> None:
    at, scales = scaled(trainable)
    server, personal = at.network.state(), patterns.personal(at.network.state())
    outcome = method_of(at).personalize(server, personal)
    scales.weigh()
    assert len(outcome.personal.models) == 3
    assert scales.seen == expected(STAGE_TWO)


def test_clients_in_one_process_share_the_base() -> None:
    """A second client's network adds its own tensors, and none of the base."""
    at, scales = scaled("lora")
    other = small.network(at.spec, ["drawing"])
    scales.weigh()
    assert scales.seen == [pytest.approx(1, abs=0.1)]
    assert other.components == at.network.components
