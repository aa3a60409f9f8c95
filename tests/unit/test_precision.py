"""Computing in bfloat16: everything that is kept, sent or compared remains float32."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from shared.job_spec import Precision
from tests.support import small
from worker.algorithm.method import NOBODY
from worker.algorithm.methods import method_of
from worker.models.precision import in_bfloat16
from worker.training.batches import in_order
from worker.training.checkpoints import FileCheckpoints
from worker.training.evaluation import evaluate
from worker.training.trainer import Trainer

pytestmark = pytest.mark.unit

KINDS = sorted((family, how) for family in ("flava", "vilt") for how in ("full", "lora"))
STEPS = {
    "local_steps": 3,
    "batch_size": 20,
    "learning_rate": {"peak": 1e-3, "warmup_rounds": 0},  # low: a step magnifies little of rounding
}


def trainer(precision: Precision, family: str = "flava", trainable: str = "full") -> Trainer:
    """With a task of every kind."""
    model = small.family_spec(family, trainable).model.model_dump(mode="json")
    post = {"steps": 2, "learning_rate": 1e-3}
    job = small.spec(model=model, training={**STEPS, "precision": precision}, post=post)
    return Trainer("c01", job, small.network(job), small.data(job, job.tasks))


def trained(at: Trainer) -> tuple[dict[str, dict[str, Tensor]], dict[str, float]]:
    state, losses = at.local_steps(at.network.state(), 1, "engaged")
    return {n: dict(tensors) for n, tensors in state.items()}, losses


@contextmanager
def seen(network: nn.Module) -> Iterator[set[torch.dtype]]:
    """The types of all values that come out of the network's modules."""
    types: set[torch.dtype] = set()

    def note(_: nn.Module, __: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            types.add(output.dtype)

    hooks = [part.register_forward_hook(note) for part in network.modules() if part is not network]
    yield types
    for hook in hooks:
        hook.remove()


def test_auto_is_bfloat16_on_gpus_that_support_it_and_nowhere_else() -> None:
    asked: tuple[Precision, ...] = ("auto", "float32", "bfloat16")
    places = (("cuda", True), ("cuda", False), ("cpu", True))
    chosen = [[in_bfloat16(p, device, supported=s) for device, s in places] for p in asked]
    assert chosen == [[True, False, False], [False] * 3, [True] * 3]


def test_float32_is_no_tf32_in_convolutions_either() -> None:
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_on_a_cpu_auto_is_float32_to_the_bit() -> None:
    (a, h_a), (b, h_b) = (trained(trainer(precision)) for precision in ("auto", "float32"))
    assert h_a == h_b
    assert all(torch.equal(a[n][t], b[n][t]) for n in a for t in a[n])


@pytest.mark.parametrize(("family", "trainable"), KINDS)
def test_bfloat16_is_near_float32_in_all_that_a_client_does(family: str, trainable: str) -> None:
    found = {}
    for precision in ("bfloat16", "float32"):
        at = trainer(precision, family, trainable)
        server = at.network.state()
        first = method_of(at).round(server, NOBODY, 1)
        outcome = method_of(at).personalize(server, first.personal)
        scores = evaluate(at, server, "test")
        found[precision] = (first.losses, outcome.losses, scores)
    (x, y, z), (a, b, c) = found["bfloat16"], found["float32"]
    for task, wanted in a.items():
        assert x[task].engaged == pytest.approx(wanted.engaged, rel=0.02)
        assert x[task].personal == pytest.approx(wanted.personal, rel=0.02)
        assert y[task].personal == pytest.approx(b[task].personal, rel=0.02)
        for name, value in c[task].metrics.items():
            if name in {"loss", "nll"}:
                assert z[task].metrics[name] == pytest.approx(value, rel=0.02)


def test_layers_compute_in_bfloat16_and_outputs_and_states_are_float32() -> None:
    at = trainer("bfloat16")
    with seen(at.network) as types:
        state, _ = trained(at)
        assert torch.bfloat16 in types
        types.clear()
        outputs = [at.network(t, next(in_order(d.train, 4))) for t, d in at.data.items()]
        assert torch.bfloat16 in types
        types.clear()
        at.network.generate("vqa", next(in_order(at.data["vqa"].train, 4)))
        assert torch.bfloat16 in types
    parameters = [p for n in at.network.components for p in at.network.tensors(n).values()]
    values = [v for tensors in state.values() for v in tensors.values()]
    assert {v.dtype for v in (*outputs, *parameters, *values)} == {torch.float32}
    plain = trainer("float32")
    with seen(plain.network) as types:
        trained(plain)
    assert torch.bfloat16 not in types


class Killed(BaseException):
    """Stands for a kill within a step."""


def test_a_killed_training_in_bfloat16_ends_with_the_same_bits(tmp_path: Path) -> None:
    at = trainer("bfloat16")
    start = at.network.state()
    expected, losses = trained(at)
    checkpoints = FileCheckpoints(tmp_path / "assignment", every_s=0)

    def kill(done: int) -> None:
        if done == 2:
            raise Killed

    with pytest.raises(Killed):
        replace(at, on_step=kill, checkpoints=checkpoints).local_steps(start, 1, "engaged")
    snapshot = checkpoints.latest("engaged")
    assert snapshot is not None
    moments = [v for each in snapshot.optimizer["state"].values() for v in each.values()]
    assert {v.dtype for v in (*snapshot.tensors, *moments)} == {torch.float32}
    found, found_losses = replace(at, checkpoints=checkpoints).local_steps(start, 1, "engaged")
    assert found_losses == losses
    assert all(torch.equal(found[n][t], v) for n, ts in expected.items() for t, v in ts.items())


def test_pieces_of_a_batch_in_bfloat16_end_near_the_whole() -> None:
    at = trainer("bfloat16", "flava", "full")
    start = at.network.state()
    whole, losses = trained(at)
    split, split_losses = replace(at, samples_at_once=2).local_steps(start, 1, "engaged")
    assert split_losses == pytest.approx(losses, rel=0.01)
    moved = torch.cat([(whole[n][t] - start[n][t]).flatten() for n in whole for t in whole[n]])
    differs = torch.cat([(whole[n][t] - split[n][t]).flatten() for n in whole for t in whole[n]])
    assert float(differs.norm()) < 0.2 * float(moved.norm())
