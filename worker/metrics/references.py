"""What the best constant answer scores: the zero of the skill, learnt from the training split."""

from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from worker.data.loader import Split
from worker.models.heads import IMAGE_SIZE
from worker.models.network import image_targets

_AT_ONCE = 256  # images made into numbers together


def majority(train: Tensor, labels: Tensor) -> float:
    """Accuracy of the most frequent training class. (N,) each"""
    return float((labels == train.bincount().argmax()).double().mean())


def mean_image(train: Tensor, images: Tensor) -> float:
    """Mean squared error of the mean training image. (N, 3, H, W) uint8 each"""
    sums = [part.double().sum(0) for part in _wanted(train)]
    average = torch.stack(sums).sum(0) / len(train)
    errors = [(part - average).square().mean((1, 2, 3)) for part in _wanted(images)]
    return float(torch.cat(errors).mean())


def _wanted(images: Tensor) -> Iterator[Tensor]:
    return (image_targets(part, IMAGE_SIZE) for part in images.split(_AT_ONCE))


def usual_answer(train: Sequence[str], answers: Sequence[str]) -> float:
    """The share of answers that are the most frequent one of the training split."""
    usual, _ = Counter(train).most_common(1)[0]
    return sum(usual == answer for answer in answers) / len(answers)


def unigram_nll(train: Split, split: Split, n_words: int, pad: int) -> float:
    """Mean nats per token when words are guessed by their training frequency (plus one each)."""
    assert train.targets is not None  # noqa: S101 - for mypy: the loader gave a text split
    assert split.targets is not None  # noqa: S101 - likewise
    seen = train.targets[:, 1:]
    counts = seen[seen != pad].bincount(minlength=n_words).double() + 1
    log_share = (counts / counts.sum()).log()
    wanted = split.targets[:, 1:]
    mask = (wanted != pad).double()
    each = -(log_share[wanted] * mask).sum(1) / mask.sum(1)
    return float(each.mean())
