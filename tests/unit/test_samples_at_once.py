"""A batch that does not fit into memory goes through the network in pieces: the same sums."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from shared.messages import FailureCode
from tests.support import small
from worker.algorithm.distillation import taught_by
from worker.assignments import failure_code
from worker.training import seeds
from worker.training.batches import batches, pieces
from worker.training.checkpoints import FileCheckpoints
from worker.training.evaluation import evaluate
from worker.training.loop import Budget, Rule, SampleLoss, _backward
from worker.training.trainer import Trainer

pytestmark = pytest.mark.unit

JOB = small.spec(training={**small.SPEC["training"], "batch_size": 23})
TASKS = tuple(JOB.tasks)
Totals = Mapping[str, list[float]]


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    """With a task of every kind, targets of several lengths and two domains."""
    return Trainer("c01", JOB, small.network(JOB), small.data(JOB, TASKS, 16))


def gradients(
    trainer: Trainer, loss: SampleLoss, most: int | None
) -> tuple[list[Tensor | None], float, Totals]:
    """Of the first batch: each parameter's gradient, the loss, and the sums of each task."""
    network = trainer.network
    parameters = [p for name in network.components for p in network.tensors(name).values()]
    for parameter in parameters:
        parameter.grad = None
    splits = {task: data.train for task, data in trainer.data.items()}
    batch = next(batches(splits, JOB.training.batch_size, seeds.generator("test")))
    totals: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0])
    network.train()
    value = _backward(
        batch, Rule(loss), Budget(1, 3, 0.1, 0.0, 1.0, most), totals, torch.device("cpu")
    )
    return [p.grad for p in parameters], value, totals


@pytest.mark.parametrize("most", [1, 2, 3, 100])
@pytest.mark.parametrize("distilling", [False, True])
def test_pieces_have_the_gradients_of_the_whole(
    trainer: Trainer, most: int, *, distilling: bool
) -> None:
    teacher = small.network(JOB).state()
    loss = taught_by(trainer, teacher, 1.0) if distilling else trainer.plain
    whole, value, totals = gradients(trainer, loss, None)
    split, split_value, split_totals = gradients(trainer, loss, most)
    assert split_value == pytest.approx(value, rel=1e-5)
    for task, (total, count) in totals.items():
        assert split_totals[task] == [pytest.approx(total, rel=1e-5), count]
    largest = max(float(g.abs().max()) for g in whole if g is not None)
    for one, other in zip(whole, split, strict=True):
        assert (one is None) == (other is None), "AdamW leaves alone what has no gradient"
        if one is not None and other is not None:
            assert float((one - other).abs().max()) < 1e-5 * largest


def test_pieces_are_of_one_task_and_lose_no_sample(trainer: Trainer) -> None:
    splits = {task: data.train for task, data in trainer.data.items()}
    batch = next(batches(splits, 23, seeds.generator("test")))
    found = list(pieces(batch, 3))
    assert all(len(piece) == 1 and len(*piece.values()) <= 3 for piece in found)
    for task, whole in batch.items():
        domains = torch.cat([piece[task].domains for piece in found if task in piece])
        assert torch.equal(domains, whole.domains)
    assert list(pieces(batch, None)) == [batch]


def test_a_whole_training_in_pieces_ends_at_the_same_place(trainer: Trainer) -> None:
    start = trainer.network.state()
    whole, losses = trainer.local_steps(start, 1, "engaged")
    split, split_losses = replace(trainer, samples_at_once=2).local_steps(start, 1, "engaged")
    assert split_losses == pytest.approx(losses, rel=1e-3)
    moved = torch.cat([(whole[n][t] - start[n][t]).flatten() for n in whole for t in whole[n]])
    differs = torch.cat([(whole[n][t] - split[n][t]).flatten() for n in whole for t in whole[n]])
    assert float(differs.norm()) < 0.02 * float(moved.norm())


def test_scores_do_not_depend_on_it(trainer: Trainer) -> None:
    state = trainer.network.state()
    whole, split = (
        evaluate(replace(trainer, samples_at_once=most), state, "test") for most in (None, 2)
    )
    for task, score in whole.items():
        assert split[task].value == pytest.approx(score.value, rel=1e-5)


def test_checkpoints_remember_the_smallest(tmp_path: Path) -> None:
    def settle(most: int | None) -> int | None:
        return FileCheckpoints(tmp_path / "assignment", 60.0).settle(most)

    asked = (None, 8, 4, 8, None)
    assert [settle(most) for most in asked] == [None, 8, 4, 4, 4]


def test_every_way_to_run_out_of_memory_is_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    for error in (
        caught.value,
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ):
        assert failure_code(error) is FailureCode.OUT_OF_MEMORY, error
    assert failure_code(RuntimeError("shapes differ")) is None
