"""Samples to be answered: checked, and made into what the network reads."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from shared.components import Modality
from worker.data.images import BROKEN, as_rgb, has_many_bits, upright
from worker.data.loader import resized, trimmed
from worker.models.base import Base
from worker.takeaway.form import TakeawayError, TakenTask, one_of

ImageLike = str | Path | bytes | Image.Image


@dataclass(frozen=True)
class Sample:
    """What a task reads. The domain may be left out where the task knows one only."""

    image: ImageLike | None = None
    text: str | None = None
    domain: str | None = None


@dataclass(frozen=True)
class Reader:
    """Reads samples of one task."""

    name: str
    taken: TakenTask
    base: Base
    max_text_tokens: int

    def check(self, sample: Sample) -> None:
        """Raises TakeawayError for what can be seen without opening an image."""
        reads = self.taken.task.modalities
        for modality in Modality:
            given = getattr(sample, modality) is not None
            if modality in reads and not given:
                wanted = " and ".join(reads)
                raise TakeawayError(f"task {self.name!r} reads {wanted}: add the {modality}")
            if given and modality not in reads:
                raise TakeawayError(f"task {self.name!r} reads no {modality}: leave it out")
        self.domain(sample)
        if sample.text is not None:
            _check_text(sample.text)

    def opened(self, sample: Sample) -> Sample:
        """The sample, checked, with its image decoded. Raises TakeawayError."""
        self.check(sample)
        return sample if sample.image is None else replace(sample, image=_rgb(sample.image))

    def domain(self, sample: Sample) -> int:
        """The sample's domain by its number. Raises TakeawayError."""
        known = self.taken.known_domains
        if sample.domain is None and len(known) > 1:
            raise TakeawayError(f"task {self.name!r} has domains: name one, {one_of(known)}")
        domain = known[0] if sample.domain is None else sample.domain
        if domain not in known:
            raise TakeawayError(
                f"task {self.name!r} knows no domain {domain!r} here: choose {one_of(known)}"
            )
        return self.taken.task.domains.index(domain)

    def domains(self, samples: Sequence[Sample]) -> Tensor:
        """(N,)"""
        return torch.tensor([self.domain(sample) for sample in samples])

    def tokens(self, samples: Sequence[Sample]) -> Tensor | None:
        """Token ids of all texts, as in training. (N, S)"""
        if Modality.TEXT not in self.taken.task.modalities:
            return None
        words = self.base.tokenizer
        ids = words.encode([sample.text or "" for sample in samples], self.max_text_tokens)
        return trimmed(ids, words.pad_id)

    def images(self, samples: Sequence[Sample]) -> Tensor | None:
        """Pixels of all images, as in training. (N, 3, H, W) uint8. Raises TakeawayError."""
        if Modality.IMAGE not in self.taken.task.modalities:
            return None
        return torch.stack([self.pixels(sample) for sample in samples])

    def pixels(self, sample: Sample) -> Tensor:
        """Of one image. (3, H, W) uint8. Raises TakeawayError."""
        assert sample.image is not None  # noqa: S101 - for mypy: the sample was checked
        return resized(_rgb(sample.image), self.base.image_size)


def _check_text(text: str) -> None:
    if not text.strip():
        raise TakeawayError("the text is empty: write one")
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise TakeawayError("the text holds characters that are no text: remove them")


def _rgb(given: ImageLike) -> Image.Image:
    what = f"the image {str(given)!r}" if isinstance(given, str | Path) else "the image"
    try:
        image = _opened(given)
    except BROKEN as error:
        raise TakeawayError(
            f"{what} cannot be read: give a whole file in PNG, JPEG or another format that Pillow "
            "reads"
        ) from error
    if has_many_bits(image):
        raise TakeawayError(f"{what} has more than 8 bits in a channel: convert it to 8 bits")
    return as_rgb(image)


def _opened(given: ImageLike) -> Image.Image:
    if isinstance(given, Image.Image):
        return upright(given)
    with Image.open(BytesIO(given) if isinstance(given, bytes) else given) as file:
        return upright(file)
