"""BERTScore: words matched by the features that an encoder gives them, each with its nearest.

Of our own, since torchmetrics (1.9) pairs texts of different lengths wrongly when it undoes its
sorting by length; a test holds this against it one pair at a time. No weighting by frequency and no
rescaling.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from torch import Tensor
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

from worker.metrics.errors import MetricError
from worker.metrics.texts import Said

_BATCH = 64
_LONGEST = 512  # tokens; the rest of a text is cut
_UNUSED = "pooler."  # features of words do not go through it


@dataclass(frozen=True)
class Encoder:
    """A BERT-like encoder, and the layer whose features are compared."""

    name: str
    model: Any
    tokenizer: Any
    layer: int

    @torch.no_grad()
    def features(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Features of length 1 (B, S, D), and which are of a text's own tokens (B, S)."""
        longest = min(_LONGEST, self.tokenizer.model_max_length, self._positions)
        read = self.tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=longest,
            return_special_tokens_mask=True,
            return_tensors="pt",
        ).to(self.model.device)
        own = read.pop("special_tokens_mask") == 0
        hidden = self.model(**read, output_hidden_states=True).hidden_states[self.layer]
        return functional.normalize(hidden.float(), dim=-1), own

    @property
    def _positions(self) -> int:
        return getattr(self.model.config, "max_position_embeddings", _LONGEST)

    def f1(self, given: Sequence[str], wanted: Sequence[str]) -> Tensor:
        """F1 of each pair of texts; 0 where one has no tokens. (B,)"""
        (a, of_a), (b, of_b) = self.features(given), self.features(wanted)
        alike = a @ b.transpose(1, 2)
        alike = alike.masked_fill(~(of_a.unsqueeze(2) & of_b.unsqueeze(1)), -1)
        precision = _mean(alike.amax(2), of_a)
        recall = _mean(alike.amax(1), of_b)
        there = of_a.any(1) & of_b.any(1) & (precision + recall > 0)
        f1 = 2 * precision * recall / (precision + recall).where(there, 1)
        return f1.where(there, 0).cpu()


def bert_scores(encoder: Encoder, said: Sequence[Said]) -> Tensor:
    """F1 of each text with the nearest of its answers. (N,)"""
    pairs = sorted({(" ".join(s.words), " ".join(answer)) for s in said for answer in s.answers})
    scores: dict[tuple[str, str], float] = {}
    for first in range(0, len(pairs), _BATCH):
        some = pairs[first : first + _BATCH]
        f1 = encoder.f1([a for a, _ in some], [b for _, b in some])
        scores.update(zip(some, f1.tolist(), strict=True))
    return torch.tensor(
        [max(scores[" ".join(s.words), " ".join(answer)] for answer in s.answers) for s in said]
    )


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Over the tokens that count. (B, S) twice -> (B,)"""
    return (values * mask).sum(1) / mask.sum(1).clamp(min=1)


@lru_cache(maxsize=1)
def load_encoder(name: str, layers: int | None) -> Encoder:
    """Loaded once in a process. Raises MetricError."""
    return read_encoder(name, layers)


def read_encoder(name: str, layers: int | None) -> Encoder:
    """An encoder out of a directory, or from the hub, tried once. Raises MetricError."""
    try:
        encoder = _read(name, layers)
        encoder.f1(["a word"], ["a word"])
    except MetricError:
        raise
    except Exception as error:  # of many kinds, by what lacks
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        raise MetricError(
            f"evaluation.bert_score {name!r} cannot be used ({said}): put a BERT-like encoder with "
            "config, weights and tokenizer there, or leave bert_score out of the job"
        ) from error
    return encoder


def _read(name: str, layers: int | None) -> Encoder:
    directory = Path(name) if Path(name).is_dir() else Path(snapshot_download(name))
    tokenizer, model = AutoTokenizer.from_pretrained(directory), _whole(directory)
    most = model.config.num_hidden_layers
    layer = most if layers is None else layers
    if layer > most:
        raise MetricError(
            f"evaluation.bert_score_layers is {layers}, but the encoder {name!r} has {most} "
            "layers; lower it"
        )
    return Encoder(f"{directory.name}, layer {layer}", model, tokenizer, layer)


def _whole(directory: Path) -> Any:
    """The weights, all that are used out of the directory. Raises OSError, ValueError."""
    loaded: Any = AutoModel.from_pretrained(directory, output_loading_info=True)
    model, report = loaded
    lacking = sorted(k for k in report["missing_keys"] if not k.startswith(_UNUSED))
    if lacking:
        raise ValueError(f"it lacks {len(lacking)} tensors, {lacking[0]} first")
    return model.eval()
