"""The one training loop: for the engaged model, the personal model and distillation."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import torch
from torch import Tensor

from worker.models.network import Batch, Network
from worker.training.batches import MicroBatch, pieces
from worker.training.checkpoints import Randomness, Snapshot

SampleLoss = Callable[[str, Batch], tuple[Tensor, Tensor]]
"""Of a task and its batch: what to minimize, and the plain task loss, of each sample. (B,) both"""


class Rule:
    """What a step does: its loss, how gradients come about, what follows; here nothing special.

    An algorithm that asks for more brings a rule of its own, made anew for each training.
    """

    passes = 1  # how often a step calls `backward`

    def __init__(self, loss: SampleLoss) -> None:
        self.loss = loss

    def gradients(self, backward: Callable[[], None]) -> None:
        """Fill in the gradients; each `backward` adds those of the next micro-batches."""
        backward()

    def penalty(self) -> Tensor | None:
        """What is added for the samples whose losses were just asked for: a mean over them."""
        return None

    def stepped(self, done: int) -> None:
        """The optimizer has stepped, `done` times so far."""

    def tensors(self) -> Sequence[Tensor]:
        """What the rule changes in place as training goes on: it is kept with each snapshot."""
        return ()

    def restore(self, kept: Sequence[Tensor]) -> None:
        """Have its tensors as they were kept."""
        for tensor, value in zip(self.tensors(), kept, strict=True):
            tensor.copy_(value)


class DivergedError(Exception):
    """A loss, or another figure of a model, is no longer a finite number."""


def check_finite(value: float, called: str) -> None:
    """Raises DivergedError, in which the value has that name."""
    if not math.isfinite(value):
        raise DivergedError(f"{called} is {value}: lower the learning rate")


@dataclass(frozen=True)
class Budget:
    """How long and how fast to train."""

    steps: int  # optimizer steps
    accumulation: int  # micro-batches in a step
    learning_rate: float
    weight_decay: float
    clip_norm: float
    samples_at_once: int | None = None  # through the network; all of a micro-batch without it


@dataclass(frozen=True)
class Keeping:
    """How a training goes on from a snapshot, and offers new ones."""

    latest: Callable[[], Snapshot | None] = lambda: None
    offer: Callable[[Callable[[], Snapshot]], None] = lambda _: None


def train(
    network: Network,
    batches: Iterator[MicroBatch],
    rule: Rule,
    budget: Budget,
    on_step: Callable[[int], None],
    keeping: Keeping = Keeping(),
) -> dict[str, float]:
    """Train all tensors of the network's components in place, with AdamW.

    The loss of a micro-batch is the mean over all its samples. Returns the mean plain loss per
    sample of each task over the whole training, h[o]. `on_step` hears how many steps are done and
    may raise to end the training. From a snapshot on, the result is the same, bit for bit. Raises
    DivergedError.
    """
    parameters = network.trainable
    optimizer = torch.optim.AdamW(
        parameters, lr=budget.learning_rate, weight_decay=budget.weight_decay, fused=True
    )
    totals: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0])
    kept = [*parameters, *rule.tensors()]
    done = _restore(keeping.latest(), kept, optimizer, totals)
    seen = done * budget.accumulation * rule.passes
    next(islice(batches, seen, seen), None)

    def backward() -> None:
        for _ in range(budget.accumulation):
            value = _backward(next(batches), rule, budget, totals, network.device)
            if not math.isfinite(value):
                raise DivergedError(
                    f"the loss became {value} at step {step + 1}: lower the learning rate"
                )

    network.train()
    for step in range(done, budget.steps):
        optimizer.zero_grad()
        rule.gradients(backward)
        torch.nn.utils.clip_grad_norm_(parameters, budget.clip_norm)
        optimizer.step()
        rule.stepped(step + 1)
        on_step(step + 1)
        keeping.offer(partial(_snapshot, step + 1, kept, optimizer, totals))
    optimizer.zero_grad()  # networks stay: their gradients need not
    return {task: total / count for task, (total, count) in totals.items()}


def _snapshot(
    done: int,
    kept: Sequence[Tensor],
    optimizer: torch.optim.Optimizer,
    totals: Mapping[str, list[float]],
) -> Snapshot:
    values = [p.detach().cpu() for p in kept]
    return Snapshot(done, values, optimizer.state_dict(), Randomness.now(), dict(totals))


def _restore(
    snapshot: Snapshot | None,
    kept: Sequence[Tensor],
    optimizer: torch.optim.Optimizer,
    totals: dict[str, list[float]],
) -> int:
    """Set everything as it was in a snapshot, if there is one; returns the steps that are done."""
    if snapshot is None:
        return 0
    with torch.no_grad():
        for tensor, value in zip(kept, snapshot.tensors, strict=True):
            tensor.copy_(value)
    optimizer.load_state_dict(snapshot.optimizer)
    snapshot.random.restore()
    totals.update(snapshot.totals)
    return snapshot.step


def _backward(
    micro: MicroBatch,
    rule: Rule,
    budget: Budget,
    totals: Mapping[str, list[float]],
    device: torch.device,
) -> float:
    """Add one micro-batch's gradients; sums of plain losses and sample counts go to `totals`.

    Losses are of single samples, so that pieces of a micro-batch add up to the whole.
    """
    size = sum(len(batch) for batch in micro.values())
    whole = 0.0
    for piece in pieces(micro, budget.samples_at_once):
        value = torch.zeros((), device=device)
        for task, batch in piece.items():
            minimized, plain = rule.loss(task, batch.to(device))
            value = value + minimized.sum() / size
            totals[task][0] += float(plain.detach().double().sum())
            totals[task][1] += len(batch)
        extra = rule.penalty()
        if extra is not None:
            value = value + extra * (sum(len(batch) for batch in piece.values()) / size)
        (value / budget.accumulation).backward()
        whole += float(value.detach())
    return whole
