"""The figures of each kind of task, out of what a network gave for the samples of a split."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from shared.evaluation_spec import EvaluationSpec
from worker.metrics.meteor import load_meteor
from worker.metrics.statistics import MacroF1, Mean, Perplexity, Statistic
from worker.metrics.texts import Said, rouge_l, token_f1
from worker.metrics.vqa import vqa_accuracy

Figures = Mapping[str, Statistic]


def of_classes(outputs: Tensor, labels: Tensor) -> Figures:
    """Of logits (N, C) and labels (N,)."""
    answers = outputs.argmax(1)
    losses = torch.nn.functional.cross_entropy(outputs, labels, reduction="none")
    return {
        "accuracy": Mean(answers == labels),
        "macro_f1": MacroF1(answers, labels, outputs.shape[1]),
        "loss": Mean(losses),
    }


@dataclass(frozen=True)
class Answered:
    """What a network said for the samples of a split."""

    exact: Sequence[bool]  # whether it is the target, as the tokenizer writes both
    said: Sequence[Said]
    nll: Tensor  # (N,) mean nats of a target's tokens
    tokens: Tensor  # (N,) of a target


def decisive_of_texts(found: Answered) -> dict[str, Statistic]:
    """The figures of generated texts by which models are told apart (worker.metrics.measured)."""
    return {"exact_match": Mean(torch.tensor(found.exact)), "nll": Mean(found.nll)}


def of_texts(
    found: Answered, wanted: EvaluationSpec, device: torch.device, about_images: bool
) -> tuple[Figures, str | None]:
    """Of generated texts, and whose BERTScore it is. Raises MetricError.

    Those that ask about images have the accuracy of VQA, too.
    """
    meteor = load_meteor(wanted.wordnet)
    scores: dict[str, Callable[[Said], float]] = {
        "token_f1": lambda said: said.best(token_f1),
        "rouge_l": rouge_l,
        meteor.name: meteor,
    }
    if about_images:
        scores["vqa_accuracy"] = vqa_accuracy
    encoder, bert = _bert(found.said, wanted, device)
    figures: dict[str, Statistic] = {
        **decisive_of_texts(found),
        "perplexity": Perplexity(found.nll.double() * found.tokens, found.tokens),
        **{name: _each(score, found.said) for name, score in scores.items()},
        **bert,
    }
    return figures, encoder


def _each(score: Callable[[Said], float], said: Sequence[Said]) -> Mean:
    return Mean(torch.tensor([score(each) for each in said], dtype=torch.float64))


def _bert(
    said: Sequence[Said], wanted: EvaluationSpec, device: torch.device
) -> tuple[str | None, Figures]:
    """The encoder's name and the figure, if the job names one."""
    if wanted.bert_score is None:
        return None, {}
    from worker.metrics.bert_score import (  # noqa: PLC0415 - for who asks for it
        bert_scores,
        load_encoder,
    )

    encoder = load_encoder(wanted.bert_score, wanted.bert_score_layers)
    encoder.model.to(device)
    figure = Mean(bert_scores(encoder, said))
    encoder.model.to("cpu")  # what trains next may need the room
    return encoder.name, {"bert_score_f1": figure}
