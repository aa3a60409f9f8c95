"""Figures over the samples of a split, each also for splits that are drawn anew from it.

A resample is told by how often it holds each sample: counts (R, N), whose rows add up to N. So one
drawing serves all figures of a split.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

MOST_NATS = 700.0  # exp of more is no finite number


class Statistic(Protocol):
    """A figure over samples."""

    @property
    def value(self) -> float:
        """Over the samples as they are."""

    def resampled(self, counts: Tensor) -> Tensor:
        """Over each resample. (R, N) of float64 -> (R,)"""


@dataclass(frozen=True, eq=False)
class Mean:
    """The mean of one value for each sample."""

    values: Tensor  # (N,)

    @property
    def value(self) -> float:
        """The mean."""
        return float(self.values.double().mean())

    def resampled(self, counts: Tensor) -> Tensor:
        """The mean in each resample."""
        return counts @ self.values.double() / counts.shape[1]


@dataclass(frozen=True, eq=False)
class Perplexity:
    """exp of the mean nats of a token; no more than exp(700), which is finite."""

    nats: Tensor  # (N,) of all tokens of a sample
    tokens: Tensor  # (N,)

    @property
    def value(self) -> float:
        """Over all tokens."""
        nats = float(self.nats.double().sum() / self.tokens.double().sum())
        return math.exp(min(nats, MOST_NATS))

    def resampled(self, counts: Tensor) -> Tensor:
        """Over all tokens of each resample."""
        nats = counts @ self.nats.double() / (counts @ self.tokens.double())
        return nats.clamp(max=MOST_NATS).exp()


@dataclass(frozen=True, eq=False)
class MacroF1:
    """The mean F1 of the classes that occur, as truth or as answer; the others do not count."""

    answers: Tensor  # (N,)
    labels: Tensor  # (N,)
    n_classes: int

    @property
    def value(self) -> float:
        """Out of torchmetrics."""
        from torchmetrics.functional.classification import (  # noqa: PLC0415 - costs seconds
            multiclass_f1_score,
        )

        found = multiclass_f1_score(self.answers, self.labels, self.n_classes, average="macro")
        return float(found)

    def resampled(self, counts: Tensor) -> Tensor:
        """The same of each resample, of all at once."""
        given, wanted = (self._per_class(counts, of) for of in (self.answers, self.labels))
        right = self._per_class(counts * (self.answers == self.labels), self.labels)
        occur = given + wanted
        f1 = 2 * right / occur.clamp(min=1)
        return f1.sum(1) / (occur > 0).sum(1)

    def _per_class(self, counts: Tensor, classes: Tensor) -> Tensor:
        """How many samples of each class a resample holds. (R, C)"""
        empty = torch.zeros(len(counts), self.n_classes, dtype=counts.dtype)
        return empty.index_add_(1, classes, counts)
