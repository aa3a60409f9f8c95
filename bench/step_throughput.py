"""What the training loop costs beside a plain one: samples per second, of both in turn.

`python -m bench.step_throughput`. One client with three tasks on the small presets, trained whole
and by LoRA. Tapestry's side is `train` with the Trainer's own loss, drawing its batches; the plain
side is the loop that one would write by hand over the same module, its batches drawn before. Both
take the same steps from the same state. One thread and the process's own CPU time, since a shared
machine's clock says who else was busy; they take turns, so that what slows the machine slows both.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from statistics import median

import torch
from torch.nn import functional

from shared.job_spec import JobSpec
from tests.support import small
from worker.algorithm.losses import mean_over_tokens
from worker.data.loader import TaskData
from worker.models.network import Batch, State
from worker.training import seeds
from worker.training.batches import MicroBatch, batches
from worker.training.loop import Budget, Rule, train
from worker.training.trainer import Trainer

LIMIT = 0.9  # of the plain loop's samples per second
RATE, DECAY, CLIP = 3e-4, 0.01, 1.0
TASKS = ("digits", "reviews", "vqa")
N_SAMPLES = 128


def client(preset: str, trainable: str) -> Trainer:
    """A client of that preset: image classification, text classification, question answering."""
    model = {"preset": preset, "trainable": trainable}
    training = {"batch_size": 32, "precision": "float32"}
    job = JobSpec.model_validate({**small.SPEC, "model": model, "training": training})
    network = small.network(job, TASKS)
    made = small.data(job, TASKS, N_SAMPLES)
    data = {task: enlarged(each, network.base.image_size) for task, each in made.items()}
    return Trainer("c01", job, network, data)


def enlarged(data: TaskData, size: int) -> TaskData:
    """With training images of that size."""
    if data.train.images is None:
        return data
    factor = size // data.train.images.shape[-1]
    images = data.train.images.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    return replace(data, train=replace(data.train, images=images))


def drawn(at: Trainer) -> Iterator[MicroBatch]:
    """The same batches each time."""
    splits = {task: data.train for task, data in at.data.items()}
    return batches(splits, at.spec.training.batch_size, seeds.generator("bench"))


def tapestry(at: Trainer, steps: int) -> None:
    """The service's loop, as `Trainer` calls it."""
    budget = Budget(steps, 1, RATE, DECAY, CLIP)
    train(at.network, drawn(at), Rule(at.plain), budget, lambda _: None)


def plain(at: Trainer, stream: list[MicroBatch]) -> None:
    """A training loop by hand."""
    network = at.network
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=DECAY, fused=True)
    network.train()
    for micro in stream:
        optimizer.zero_grad()
        losses = torch.cat([by_hand(at, task, batch) for task, batch in micro.items()])
        losses.mean().backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()


def by_hand(at: Trainer, task: str, batch: Batch) -> torch.Tensor:
    """The loss of each sample. (B,)"""
    output = at.network(task, batch)
    if batch.labels is not None:
        return functional.cross_entropy(output, batch.labels, reduction="none")
    assert batch.targets is not None  # noqa: S101 - for mypy: all others are texts
    wanted = batch.targets[:, 1:]
    each = functional.cross_entropy(output.transpose(1, 2), wanted, reduction="none")
    return mean_over_tokens(each, wanted != at.network.base.tokenizer.pad_id)


def seconds(at: Trainer, start: State, run: Callable[[], None]) -> float:
    """CPU time of a run from that state."""
    at.network.load(start)
    with seeds.scope("bench"):
        began = time.process_time()
        run()
        return time.process_time() - began


def measured(preset: str, trainable: str, repeats: int, steps: int) -> dict[str, float | str]:
    """Medians over the repeats; the ratio is of samples per second, Tapestry's to the plain."""
    at = client(preset, trainable)
    start, stream = at.network.state(), list(islice(drawn(at), steps))
    sides = {"tapestry": lambda: tapestry(at, steps), "plain": lambda: plain(at, stream)}
    taken: dict[str, list[float]] = {"tapestry": [], "plain": []}
    for run in sides.values():
        seconds(at, start, run)
    for turn in range(repeats):
        for side in sorted(sides, reverse=bool(turn % 2)):
            taken[side].append(seconds(at, start, sides[side]))
    ratios = [p / t for p, t in zip(taken["plain"], taken["tapestry"], strict=True)]
    samples = steps * at.spec.training.batch_size
    return {
        "preset": preset,
        "trainable": trainable,
        "ratio": median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
        "tapestry_per_s": samples / median(taken["tapestry"]),
        "plain_per_s": samples / median(taken["plain"]),
    }


def main() -> None:
    """Print a line for each preset; fails if a ratio is below the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--steps", type=int, default=8)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cases = [(p, t) for p in ("flava-small", "vilt-small") for t in ("full", "lora")]
    found = []
    for preset, trainable in cases:
        found.append(measured(preset, trainable, arguments.repeats, arguments.steps))
        print(json.dumps(found[-1]), flush=True)
    slow = [f for f in found if float(f["ratio"]) < LIMIT]
    sys.exit(f"below {LIMIT} of a plain loop's throughput: {slow}" if slow else 0)


if __name__ == "__main__":
    main()
