"""Batches over a client's tasks: every step sees each task, by its share of the samples."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Generator, Tensor

from worker.data.loader import Split
from worker.models.network import Batch

MicroBatch = Mapping[str, Batch]


def select(split: Split, rows: Tensor) -> Batch:
    """The samples of a split at `rows` (B,)."""
    return Batch(
        images=None if split.images is None else split.images[rows],
        tokens=None if split.tokens is None else split.tokens[rows],
        labels=None if split.labels is None else split.labels[rows],
        targets=None if split.targets is None else split.targets[rows],
        domains=split.domains[rows],
    )


def shares(sizes: Sequence[int], batch_size: int) -> list[int]:
    """How many of `batch_size` samples each task gets: by its size, at least one.

    Largest remainders first. With more tasks than `batch_size` each gets one.
    """
    spare = max(batch_size - len(sizes), 0)
    exact = [spare * size / sum(sizes) for size in sizes]
    counts = [1 + int(share) for share in exact]
    rest = sorted(range(len(sizes)), key=lambda i: (int(exact[i]) - exact[i], i))
    for i in rest[: len(sizes) + spare - sum(counts)]:
        counts[i] += 1
    return counts


def batches(
    splits: Mapping[str, Split], batch_size: int, generator: Generator
) -> Iterator[MicroBatch]:
    """Micro-batches without end; each task goes through all its samples before it repeats one."""
    counts = shares([len(split) for split in splits.values()], batch_size)
    streams = {
        task: _rows(len(split), count, generator)
        for (task, split), count in zip(splits.items(), counts, strict=True)
    }
    while True:
        yield {task: select(splits[task], next(rows)) for task, rows in streams.items()}


def _rows(size: int, count: int, generator: Generator) -> Iterator[Tensor]:
    """`count` row numbers at a time, out of one random permutation after the other."""
    pool = torch.empty(0, dtype=torch.int64)
    while True:
        while len(pool) < count:
            pool = torch.cat([pool, torch.randperm(size, generator=generator)])
        rows, pool = pool[:count], pool[count:]
        yield rows


def pieces(micro: MicroBatch, most: int | None) -> Iterator[MicroBatch]:
    """A micro-batch in pieces of one task and at most `most` samples; without it whole."""
    if most is None:
        yield micro
        return
    for task, batch in micro.items():
        for first in range(0, len(batch), most):
            yield {task: batch.part(slice(first, first + most))}


def in_order(split: Split, batch_size: int) -> Iterator[Batch]:
    """All samples of a split once, in their order."""
    for rows in torch.arange(len(split)).split(batch_size):
        yield select(split, rows)
