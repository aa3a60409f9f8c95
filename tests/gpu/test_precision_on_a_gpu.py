"""bfloat16 on a GPU, which is what `auto` is there; and what X, Z and the teacher take of it."""

import pytest
import torch

from shared.job_spec import Precision
from tests.support import small
from worker.algorithm.method import NOBODY
from worker.algorithm.methods import method_of
from worker.training.trainer import Trainer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]


def trainer(precision: Precision) -> Trainer:
    """A client on the GPU with a task of every kind."""
    rate = 1e-3  # low: a step magnifies little of what rounding does
    training = {"local_steps": 3, "learning_rate": {"peak": rate, "warmup_rounds": 0}}
    job = small.spec(
        training={**training, "precision": precision}, post={"steps": 2, "learning_rate": rate}
    )
    network = small.network(job).to(torch.device("cuda"))
    return Trainer("c01", job, network, small.data(job, job.tasks))


def losses(precision: Precision) -> dict[str, list[float | None]]:
    """Of X and Z in a round, and of Z as it is taught."""
    at = trainer(precision)
    server = at.network.state()
    first = method_of(at).round(server, NOBODY, 1)
    taught = method_of(at).personalize(server, first.personal)
    assert first.engaged is not None
    values = [v for tensors in first.engaged.values() for v in tensors.values()]
    assert all(v.dtype is torch.float32 and bool(v.isfinite().all()) for v in values)
    return {
        task: [each.engaged, each.personal, taught.losses[task].personal]
        for task, each in first.losses.items()
    }


def test_a_round_and_stage_two_in_bfloat16_are_near_float32() -> None:
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        pytest.skip("this GPU has no bfloat16")
    found, wanted, auto = (losses(precision) for precision in ("bfloat16", "float32", "auto"))
    for task, values in wanted.items():
        assert found[task] == pytest.approx(values, rel=0.03)
        assert auto[task] == pytest.approx(found[task], rel=1e-3)


def test_x_z_and_the_teacher_take_one_networks_place_on_the_gpu() -> None:
    """States stay on the CPU: between trainings only the network is on the GPU, whosever it was."""
    at = trainer("auto")
    server = at.network.state()
    one_state = sum(v.nbytes for tensors in server.values() for v in tensors.values())
    first = method_of(at).round(server, NOBODY, 1)
    between = torch.cuda.memory_allocated()
    second = method_of(at).round(server, first.personal, 2)
    method_of(at).personalize(server, second.personal)
    assert torch.cuda.memory_allocated() - between < one_state
