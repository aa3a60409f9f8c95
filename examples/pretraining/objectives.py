"""The library's own pretraining losses, fed with the corpus: FLAVA's six, ViLT's masked words."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from corpus import SIZE, Corpus
from sklearn.cluster import MiniBatchKMeans
from torch import Generator, Tensor, nn
from torch.nn import functional
from transformers import FlavaConfig, FlavaForPreTraining, ViltConfig, ViltForMaskedLM

from worker.data.tokenizer import MASK, Tokenizer

WIDTH, HEADS, PATCH = 96, 4, 8
_PATCHES = (SIZE // PATCH) ** 2
_CODES = 512  # kinds of patches
_WORDS_MASKED = 0.25
_PATCHES_MASKED = 0.4
_MISMATCHED = 0.25  # of the pairs get another's caption
_TEXTS = 4  # times as many texts alone as pairs: they are short, and their words are many
_IGNORED = -100  # a label without a loss, in the library
_SIZES: Mapping[str, Any] = {
    "hidden_size": WIDTH,
    "num_attention_heads": HEADS,
    "intermediate_size": 4 * WIDTH,
    "initializer_range": 0.05,
}


@dataclass
class Objective(ABC):
    """A model in pretraining."""

    corpus: Corpus
    generator: Generator
    device: torch.device

    model: Any  # the library's, with its heads

    @property
    @abstractmethod
    def body(self) -> Any:
        """What is kept of the model."""

    @abstractmethod
    def losses(self, step: int, n: int) -> dict[str, Tensor]:
        """The losses of a step over `n` samples, by name."""

    def masked(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Texts with some words masked, and the words where they are. (n, S) each"""
        words = self.corpus.tokenizer
        special = (ids == words.pad_id) | (ids == words.start_id) | (ids == words.end_id)
        score = torch.rand(ids.shape, generator=self.generator).masked_fill(special, 2.0)
        chosen = score < _WORDS_MASKED
        chosen |= score == score.min(1, keepdim=True).values  # at least one of each text
        chosen &= ~special
        mask = words.vocabulary.index(MASK)
        return ids.masked_fill(chosen, mask), ids.masked_fill(~chosen, _IGNORED)

    def normal(self, images: Tensor) -> Tensor:
        """Pixels from -1 to 1."""
        return (images.to(self.device) / 255 - 0.5) / 0.5


class Codebook(nn.Module):
    """Kinds of patches, in place of FLAVA's image codebook, which cannot be had at this size."""

    centres: Tensor  # (512, 3 * 8 * 8), pixel values from 0 to 1

    def __init__(self, images: Tensor, seed: int) -> None:
        super().__init__()
        found = MiniBatchKMeans(_CODES, random_state=seed, n_init=1, batch_size=4096)
        found.fit(_patches(images).flatten(0, 1).numpy())
        self.register_buffer("centres", torch.tensor(found.cluster_centers_, dtype=torch.float32))

    def forward(self, images: Tensor) -> Tensor:
        """The kind of each patch. (n, 3, 64, 64) uint8 -> (n, 64)"""
        return torch.cdist(_patches(images), self.centres).argmin(2)


def _patches(images: Tensor) -> Tensor:
    """(n, 3, 64, 64) uint8 -> (n, 64, 3 * 8 * 8), from 0 to 1"""
    return functional.unfold(images / 255, PATCH, stride=PATCH).transpose(1, 2)


class FlavaObjective(Objective):
    """Masked images, masked words, both with the other modality, matching, contrast."""

    def __init__(self, corpus: Corpus, generator: Generator, device: torch.device) -> None:
        model: Any = FlavaForPreTraining(_flava_config(corpus.tokenizer))
        super().__init__(corpus, generator, device, model.to(device))
        seed = generator.initial_seed()
        rows = torch.randperm(len(corpus.images), generator=generator)[:2000]
        self._codes = Codebook(corpus.images[rows], seed).to(device)

    @property
    def body(self) -> Any:
        """FlavaModel."""
        return self.model.flava

    def losses(self, step: int, n: int) -> dict[str, Tensor]:
        """Pairs in half of the steps, texts and images alone in a quarter each."""
        match step % 4:
            case 0 | 2:
                return self._of_pairs(n)
            case 1:
                return self._of_texts(n)
            case _:
                return self._of_images(n)

    def _of_pairs(self, n: int) -> dict[str, Tensor]:
        images, ids = self.corpus.pairs(n, self.generator)
        fits = torch.rand(n, generator=self.generator) >= _MISMATCHED
        ids = torch.where(fits[:, None], ids, ids.roll(1, 0))
        seen, labels = self.masked(ids)
        return self._run(
            input_ids=ids,
            input_ids_masked=seen,
            attention_mask=(ids != self.corpus.tokenizer.pad_id).long(),
            mlm_labels=labels,
            itm_labels=fits.long(),
            **self._masked_images(images),
        )

    def _of_texts(self, n: int) -> dict[str, Tensor]:
        ids = self.corpus.some_texts(_TEXTS * n, self.generator)
        seen, labels = self.masked(ids)
        mask = (ids != self.corpus.tokenizer.pad_id).long()
        return self._run(
            input_ids=ids, input_ids_masked=seen, attention_mask=mask, mlm_labels=labels
        )

    def _of_images(self, n: int) -> dict[str, Tensor]:
        images, _ = self.corpus.pairs(n, self.generator)
        return self._run(**self._masked_images(images))

    def _masked_images(self, images: Tensor) -> dict[str, Tensor]:
        hidden = torch.rand((len(images), _PATCHES), generator=self.generator) < _PATCHES_MASKED
        return {
            "pixel_values": self.normal(images),
            "bool_masked_pos": hidden,
            "mim_labels": self._codes(images.to(self.device)),
        }

    def _run(self, **inputs: Tensor) -> dict[str, Tensor]:
        there = {name: value.to(self.device) for name, value in inputs.items()}
        found = self.model(
            **there,
            return_loss=True,
            skip_unmasked_multimodal_encoder=True,
        )
        return {name: loss for name, loss in found.loss_info.items() if loss is not None}


def _flava_config(words: Tokenizer) -> FlavaConfig:
    layers = {**_SIZES, "num_hidden_layers": 2}
    return FlavaConfig(
        image_config={**layers, "image_size": SIZE, "patch_size": PATCH, "vocab_size": _CODES},
        text_config={
            **layers,
            "vocab_size": words.vocab_size,
            "pad_token_id": words.pad_id,
            "max_position_embeddings": 128,
        },
        multimodal_config=layers,
        hidden_size=WIDTH,
        projection_dim=WIDTH,
        init_codebook=False,
    )


class ViltObjective(Objective):
    """Masked words, with the image in two of three steps."""

    def __init__(self, corpus: Corpus, generator: Generator, device: torch.device) -> None:
        words = corpus.tokenizer
        config = ViltConfig(
            **_SIZES,
            vocab_size=words.vocab_size,
            pad_token_id=words.pad_id,
            num_hidden_layers=4,
            image_size=SIZE,
            patch_size=PATCH,
            max_position_embeddings=128,
            max_image_length=-1,
        )
        model: Any = ViltForMaskedLM(config)
        super().__init__(corpus, generator, device, model.to(device))

    @property
    def body(self) -> Any:
        """ViltModel."""
        return self.model.vilt

    def losses(self, step: int, n: int) -> dict[str, Tensor]:
        """Pairs, or texts beside an image that nobody looks at."""
        if step % 3 < 2:
            images, ids = self.corpus.pairs(n, self.generator)
            return {"mmm_text": self._loss(ids, {"pixel_values": self.normal(images)})}
        ids = self.corpus.some_texts(_TEXTS * n, self.generator)
        nothing = {
            "image_embeds": torch.zeros(len(ids), 1, WIDTH, device=self.device),
            "pixel_mask": torch.zeros(len(ids), 1, dtype=torch.long, device=self.device),
        }
        return {"mlm": self._loss(ids, nothing)}

    def _loss(self, ids: Tensor, image: dict[str, Tensor]) -> Tensor:
        seen, labels = self.masked(ids)
        found: Tensor = self.model(
            input_ids=seen.to(self.device),
            attention_mask=(ids != self.corpus.tokenizer.pad_id).long().to(self.device),
            labels=labels.to(self.device),
            **image,
        ).loss
        return found
