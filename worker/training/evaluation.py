"""How good a model is at a client's tasks, on a split that it did not train on.

Each task has one primary metric and a reference: the score of the best constant answer learnt from
the client's own training split. The skill score puts tasks on one scale (shared.metrics.skill).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from shared.components import Modality, TaskKind
from shared.messages import TaskScore
from shared.metrics import skill
from worker.algorithm.losses import task_loss
from worker.data.loader import Split, TaskData
from worker.models.heads import IMAGE_SIZE
from worker.models.network import Batch, Network, State, image_targets
from worker.training.batches import in_order

_BATCH = 64


@dataclass(frozen=True)
class _Measuring:
    """A network that is measured at one task, and how many samples go through it at once."""

    network: Network
    task: str
    batch_size: int

    def batches(self, split: Split) -> Iterator[Batch]:
        """All samples of a split in order, where the network computes."""
        return (batch.to(self.network.device) for batch in in_order(split, self.batch_size))

    def outputs(self, split: Split) -> Tensor:
        """The network's outputs for all samples. (N, ...)"""
        return torch.cat([self.network(self.task, each).cpu() for each in self.batches(split)])

    def texts(self, split: Split) -> list[str]:
        """The targets as the tokenizer writes them, cut to the task's length like the outputs."""
        assert split.targets is not None  # noqa: S101 - for mypy: the loader gave a text split
        return [self.network.base.tokenizer.decode(ids[1:].tolist()) for ids in split.targets]


def evaluate(
    network: Network,
    state: State,
    data: Mapping[str, TaskData],
    split: str,
    samples_at_once: int | None = None,
) -> dict[str, TaskScore]:
    """Scores of one model on the `test` or `validation` split of each task."""
    network.load(state)
    network.eval()
    size = min(_BATCH, samples_at_once or _BATCH)
    with torch.no_grad():
        return {
            task: _score(
                _Measuring(network, task, size),
                sets.train,
                sets.test if split == "test" else sets.validation,
            )
            for task, sets in data.items()
        }


def _score(at: _Measuring, train: Split, split: Split) -> TaskScore:
    match at.network.spec.tasks[at.task].kind:
        case TaskKind.IMAGE_CLASSIFICATION | TaskKind.TEXT_CLASSIFICATION:
            return _classification(at, train, split)
        case TaskKind.IMAGE_GENERATION:
            return _image_generation(at, train, split)
        case TaskKind.TEXT_GENERATION:
            return _text_generation(at, train, split)


def _classification(at: _Measuring, train: Split, split: Split) -> TaskScore:
    """Accuracy; the reference always answers the most frequent training class."""
    assert train.labels is not None  # noqa: S101 - for mypy: the loader gave a classification split
    assert split.labels is not None  # noqa: S101 - likewise
    outputs = at.outputs(split)
    accuracy = float((outputs.argmax(1) == split.labels).double().mean())
    majority = int(train.labels.bincount().argmax())
    reference = float((split.labels == majority).double().mean())
    loss = float(functional.cross_entropy(outputs, split.labels))
    return _made("accuracy", accuracy, reference, 1.0, len(split), {"loss": loss})


def _image_generation(at: _Measuring, train: Split, split: Split) -> TaskScore:
    """Mean squared error of pixel values; the reference is the mean training image."""
    assert train.images is not None  # noqa: S101 - for mypy: the loader gave an image split
    assert split.images is not None  # noqa: S101 - likewise
    wanted = image_targets(split.images, IMAGE_SIZE)
    error = float((at.outputs(split) - wanted).square().double().mean())
    average = image_targets(train.images, IMAGE_SIZE).mean(0)
    reference = float((average - wanted).square().double().mean())
    return _made("mse", error, reference, 0.0, len(split), {})


def _text_generation(at: _Measuring, train: Split, split: Split) -> TaskScore:
    """With an image (question answering) exact match of the generated text; else nats per token.

    The references are the most frequent training answer, and the training frequencies of words.
    """
    network, task = at.network, at.task
    spec, words = network.spec.tasks[task], network.base.tokenizer
    losses = [
        task_loss(spec.kind, batch, network(task, batch), words.pad_id)
        for batch in at.batches(split)
    ]
    nll = float(torch.cat(losses).double().mean())
    generated = [
        words.decode(ids[1:].tolist())
        for batch in at.batches(split)
        for ids in network.generate(task, batch)
    ]
    truth = at.texts(split)
    exact = _mean([float(a == b) for a, b in zip(generated, truth, strict=True)])
    metrics = {
        "exact_match": exact,
        "token_f1": _mean([token_f1(a, b) for a, b in zip(generated, truth, strict=True)]),
        "nll": nll,
    }
    if Modality.IMAGE in spec.modalities:
        usual, _ = Counter(at.texts(train)).most_common(1)[0]
        reference = _mean([float(usual == text) for text in truth])
        return _made("exact_match", exact, reference, 1.0, len(split), metrics)
    reference = unigram_nll(train, split, words.vocab_size, words.pad_id)
    return _made("nll", nll, reference, 0.0, len(split), metrics)


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


def token_f1(given: str, wanted: str) -> float:
    """Harmonic mean of precision and recall of words, as in SQuAD."""
    a, b = Counter(given.split()), Counter(wanted.split())
    common = sum((a & b).values())
    return 2 * common / (a.total() + b.total()) if common else float(not a and not b)


def _made(
    metric: str, value: float, reference: float, best: float, n: int, metrics: dict[str, float]
) -> TaskScore:
    return TaskScore(
        metric=metric,
        value=value,
        reference=reference,
        skill=skill(value, reference, best),
        n=n,
        metrics=metrics,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
