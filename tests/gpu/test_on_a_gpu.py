"""The same training in float32 on a GPU and on a CPU: near each other."""

import pytest
import torch

from tests.support import small
from worker.algorithm.distillation import taught_by
from worker.models.network import State
from worker.training.evaluation import evaluate
from worker.training.loop import Rule
from worker.training.trainer import Trainer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]


def trained(device: str) -> tuple[State, dict[str, float]]:
    job = small.spec(training={**small.SPEC["training"], "precision": "float32"})
    tasks = tuple(job.tasks)
    network = small.network(job, tasks).to(torch.device(device))
    trainer = Trainer("c01", job, network, small.data(job, tasks))
    start = network.state()
    teacher, _ = trainer.local_steps(start, 1, "engaged")
    rule = Rule(taught_by(trainer, teacher, 1.0))
    state, losses = trainer.post_steps(start, "distill", rule)
    assert all(v.device.type == "cpu" for part in state.values() for v in part.values())
    assert evaluate(trainer, state, "test").keys() == set(tasks)
    return state, losses


def test_a_gpu_learns_what_the_cpu_learns() -> None:
    _, expected = trained("cpu")
    _, found = trained("cuda")
    assert found == pytest.approx(expected, rel=1e-2)
