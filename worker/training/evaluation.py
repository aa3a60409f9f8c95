"""How good a model is at a client's tasks, on a split that it did not train on.

The network goes over the split here; worker/metrics says what its outputs are worth. Each task has
one primary metric and a reference: the score of the best constant answer learnt from the client's
own training split. The skill score puts tasks on one scale (shared.metrics.skill).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from shared.components import Modality, TaskKind
from shared.job_spec import TaskSpec
from shared.results import TaskScore, Variant
from worker.algorithm.losses import task_loss
from worker.data.client_task import SplitName
from worker.data.loader import Split
from worker.data.tokenizer import Tokenizer
from worker.metrics import references
from worker.metrics.images import image_values, squared_errors
from worker.metrics.kinds import Answered, decisive_of_texts, of_classes, of_texts
from worker.metrics.measured import Decisive, Measured
from worker.metrics.statistics import Mean
from worker.metrics.texts import Said
from worker.models.heads import IMAGE_SIZE
from worker.models.network import Batch, State, image_targets
from worker.training import seeds
from worker.training.batches import in_order
from worker.training.loop import check_finite
from worker.training.trainer import Trainer

_BATCH = 64


@dataclass(frozen=True)
class _Measuring:
    """A client's network, measured at one task on one split."""

    trainer: Trainer
    task: str
    split: Split
    every_metric: bool

    @property
    def spec(self) -> TaskSpec:
        """The task."""
        return self.trainer.spec.tasks[self.task]

    @property
    def tokenizer(self) -> Tokenizer:
        """The base's."""
        return self.trainer.network.base.tokenizer

    def batches(self) -> Iterator[Batch]:
        """All samples in order, where the network computes."""
        size = min(_BATCH, self.trainer.samples_at_once or _BATCH)
        device = self.trainer.network.device
        return (batch.to(device) for batch in in_order(self.split, size))

    def output(self, batch: Batch) -> Tensor:
        """The network's outputs. (B, ...)"""
        output: Tensor = self.trainer.network(self.task, batch)
        return output


def evaluate(
    trainer: Trainer,
    state: State,
    split: SplitName,
    *,
    every_metric: bool = True,
    called: str = "the model",
) -> dict[str, TaskScore]:
    """Scores of one model of a client on the `test` or `validation` split of each task.

    Intervals stand on the same resamples for each model of the client. Without `every_metric`
    those that cost are left out, but for the primary one. Raises MetricError, and DivergedError
    for a model whose figures are no numbers, with what it is `called`.
    """
    found = _all_measured(trainer, state, split, every_metric)
    for task, each in found.items():
        for name, statistic in each.statistics.items():
            figure = f"{name} of {called} at task {task!r} on its {split} samples"
            check_finite(statistic.value, figure)
    return {task: _score(trainer, task, each, split) for task, each in found.items()}


def decisive(trainer: Trainer, state: State, split: SplitName) -> dict[str, Decisive]:
    """What models of a client are chosen by, at each of its tasks; it may be no number."""
    found = _all_measured(trainer, state, split, every_metric=False)
    return {task: each.decisive for task, each in found.items()}


def evaluate_all(
    trainer: Trainer,
    models: Mapping[Variant, State],
    chosen: Mapping[str, Variant],
    split: SplitName,
) -> dict[Variant, dict[str, TaskScore]]:
    """Scores of all models of a client; of those chosen for its tasks, too, if some are.

    The guarded scores are those of the chosen models and not measured again. Raises MetricError,
    DivergedError.
    """
    scores = {
        variant: evaluate(trainer, model, split, called=f"the {variant} model")
        for variant, model in models.items()
    }
    return with_guarded(scores, chosen)


def with_guarded(
    scores: Mapping[Variant, dict[str, TaskScore]], chosen: Mapping[str, Variant]
) -> dict[Variant, dict[str, TaskScore]]:
    """Scores of a client's models, and those of the ones chosen for its tasks, if some are."""
    guarded = {
        task: scores[variant][task].model_copy(update={"of": variant})
        for task, variant in chosen.items()
        if task in scores.get(variant, {})
    }
    return {**scores, **({Variant.GUARDED: guarded} if guarded else {})}


def _all_measured(
    trainer: Trainer, state: State, split: SplitName, every_metric: bool
) -> dict[str, Measured]:
    trainer.network.load(state)
    trainer.network.eval()
    with torch.no_grad():
        return {
            task: _measured(
                _Measuring(trainer, task, getattr(sets, split), every_metric), sets.train
            )
            for task, sets in trainer.data.items()
        }


def _score(trainer: Trainer, task: str, measured: Measured, split: SplitName) -> TaskScore:
    chosen: Split = getattr(trainer.data[task], split)
    draw = seeds.generator(trainer.spec.seed, trainer.client, task, split, "bootstrap")
    return measured.score(len(chosen), trainer.spec.evaluation.intervals, draw)


def _measured(at: _Measuring, train: Split) -> Measured:
    match at.spec.kind:
        case TaskKind.IMAGE_CLASSIFICATION | TaskKind.TEXT_CLASSIFICATION:
            return _classification(at, train)
        case TaskKind.IMAGE_GENERATION:
            return _image_generation(at, train)
        case TaskKind.TEXT_GENERATION:
            return _text_generation(at, train)


def _classification(at: _Measuring, train: Split) -> Measured:
    """Accuracy; the reference always answers the most frequent training class."""
    assert train.labels is not None  # noqa: S101 - for mypy: the loader gave a classification split
    assert at.split.labels is not None  # noqa: S101 - likewise
    outputs = torch.cat([at.output(batch).cpu() for batch in at.batches()])
    reference = references.majority(train.labels, at.split.labels)
    return Measured("accuracy", "loss", reference, 1.0, of_classes(outputs, at.split.labels))


def _image_generation(at: _Measuring, train: Split) -> Measured:
    """Mean squared error of pixel values; the reference is the mean training image."""
    assert train.images is not None  # noqa: S101 - for mypy: the loader gave an image split
    assert at.split.images is not None  # noqa: S101 - likewise
    values = image_values if at.every_metric else squared_errors
    found = [values(at.output(batch), _wanted(batch)) for batch in at.batches()]
    names = found[0]
    figures = {name: Mean(torch.cat([part[name].cpu() for part in found])) for name in names}
    reference = references.mean_image(train.images, at.split.images)
    return Measured("mse", "mse", reference, 0.0, figures)


def _wanted(batch: Batch) -> Tensor:
    assert batch.images is not None  # noqa: S101 - for mypy: the loader gave an image split
    return image_targets(batch.images, IMAGE_SIZE)


def _text_generation(at: _Measuring, train: Split) -> Measured:
    """With an image (question answering) exact match of the generated text; else nats per token.

    The references are the most frequent training answer, and the training frequencies of words.
    """
    words, wanted = at.tokenizer, at.trainer.spec.evaluation
    generated, nll = _generated(at)
    targets, about_images = _written(words, at.split), Modality.IMAGE in at.spec.modalities
    found = Answered(
        exact=[a == b for a, b in zip(generated, targets, strict=True)],
        said=[
            Said(words.words(text), tuple(map(words.words, answers)))
            for text, answers in zip(generated, at.split.answers, strict=True)
        ],
        nll=nll,
        tokens=_lengths(at.split, words.pad_id),
    )
    figures, encoder = (
        of_texts(found, wanted, at.trainer.network.device, about_images)
        if at.every_metric
        else (decisive_of_texts(found), None)
    )
    if about_images:
        reference = references.usual_answer(_written(words, train), targets)
        return Measured("exact_match", "nll", reference, 1.0, figures, encoder)
    reference = references.unigram_nll(train, at.split, words.vocab_size, words.pad_id)
    return Measured("nll", "nll", reference, 0.0, figures, encoder)


def _generated(at: _Measuring) -> tuple[list[str], Tensor]:
    """What the network says for each sample, and its mean nats per token of the target. (N,)"""
    network, words = at.trainer.network, at.tokenizer
    texts: list[str] = []
    losses = []
    for batch in at.batches():
        logits, generated = network.read_and_write(at.task, batch)
        losses.append(task_loss(at.spec.kind, batch, logits, words.pad_id).cpu())
        texts += [words.decode(ids[1:].tolist()) for ids in generated]
    return texts, torch.cat(losses)


def _written(words: Tokenizer, split: Split) -> list[str]:
    """The targets as the tokenizer writes them, cut to the task's length like the outputs."""
    assert split.targets is not None  # noqa: S101 - for mypy: the loader gave a text split
    return [words.decode(ids[1:].tolist()) for ids in split.targets]


def _lengths(split: Split, pad: int) -> Tensor:
    """Tokens of each target behind the start token. (N,)"""
    assert split.targets is not None  # noqa: S101 - likewise
    return (split.targets[:, 1:] != pad).sum(1)
