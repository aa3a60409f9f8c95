"""A task's samples as tensors, decoded once, with disjoint splits."""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from shared.components import Modality, TaskKind
from shared.job_spec import TaskSpec
from worker.data.agreement import agreed, as_claimed
from worker.data.client_file import ClientFile, Rows
from worker.data.client_task import SPLITS, SplitName
from worker.data.identity import Stats, digests, stats
from worker.data.likeness import same
from worker.data.rows import Row
from worker.data.sources import DataError
from worker.data.tokenizer import Tokenizer

_IN_MEMORY = 256 << 20  # bytes of a split's pixels
Seen = dict[bytes, tuple[SplitName, str]]


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """All samples of one split; only what the task reads is there.

    S and T are the longest text and target of the split: columns of nothing but padding are cut.
    The target of image generation is the input image itself.
    """

    images: Tensor | None  # (N, 3, H, W) uint8
    tokens: Tensor | None  # (N, S) token ids from [CLS] to [SEP], padded
    labels: Tensor | None  # (N,) index into the task's classes
    targets: Tensor | None  # (N, T) token ids from start to end, padded
    target_texts: tuple[str, ...]  # as written; empty if nothing is to be said
    domains: Tensor  # (N,) index into the job's domains of the task
    other_texts: tuple[tuple[str, ...], ...] = ()  # further right answers; empty if there are none
    digests: Mapping[str, str] = field(default_factory=dict)  # of its modalities and rows
    mapped_bytes: int = 0  # of images that lie in a file

    @property
    def answers(self) -> tuple[tuple[str, ...], ...]:
        """All right answers of each sample as written, the target first."""
        others = self.other_texts or ((),) * len(self.target_texts)
        return tuple((text, *more) for text, more in zip(self.target_texts, others, strict=True))

    def __len__(self) -> int:
        return len(self.domains)

    @property
    def n_bytes(self) -> int:
        """Bytes of the tensors in memory."""
        tensors = (self.images, self.tokens, self.labels, self.targets, self.domains)
        return sum(each.nbytes for each in tensors if each is not None) - self.mapped_bytes


@dataclass(frozen=True, slots=True, eq=False)
class TaskData:
    """A client's data for one task."""

    train: Split
    validation: Split
    test: Split
    files: Stats = field(default_factory=dict)  # as they were before they were decoded

    @property
    def digests(self) -> dict[SplitName, Mapping[str, str]]:
        """What the samples are, of each split."""
        return {split: getattr(self, split).digests for split in SPLITS}


@dataclass(frozen=True, slots=True)
class Decoding:
    """How samples are made into tensors."""

    tokenizer: Tokenizer
    image_size: int  # pixels
    max_text_tokens: int
    scratch: Path | None = None  # where the pixels of large splits lie; in memory without it


@dataclass(frozen=True, slots=True)
class _Source:
    """Which data are read, and how."""

    file: ClientFile
    name: str
    spec: TaskSpec  # as the client reads it
    lost: frozenset[Modality]  # what the job's task reads besides
    decoding: Decoding


def load_task(
    client_file: ClientFile,
    name: str,
    spec: TaskSpec,
    decoding: Decoding,
    claimed: Sequence[Modality] | None = None,
) -> TaskData:
    """Read, check and decode a client's task. Raises DataError, also when splits share a sample.

    What is read is what the client has of the job's modalities, or of these those that are claimed.
    Targets hold at most `spec.max_target_tokens` tokens after the start token, the end included.
    """
    read = agreed(client_file, name, spec)
    if claimed is not None:
        read = as_claimed(client_file, name, spec, claimed)
    lost = frozenset(spec.modalities) - set(read.modalities)
    source = _Source(client_file, name, read, lost, decoding)
    seen: Seen = {}
    files = stats(client_file.files(name))
    rows = client_file.splits(name)
    files = {**files, **stats(_image_files(source, rows))}
    train, validation, test = (_split(source, split, rows[split], seen) for split in SPLITS)
    return TaskData(train, validation, test, files)


def is_stale(data: TaskData, client_file: ClientFile, name: str) -> bool:
    """Whether a file of the task is not as it was, so that it must be read again."""
    return stats({*client_file.files(name), *data.files}) != data.files


def _image_files(source: _Source, rows: Mapping[SplitName, Rows]) -> Iterator[Path]:
    for split, each in rows.items() if Modality.IMAGE in source.spec.modalities else ():
        place = source.file.place(source.name, split)
        for row in each:
            path = source.file.image_file(row, f"{place} {row.where}")
            if path is not None:
                yield path


def _split(source: _Source, split: SplitName, rows: Rows, seen: Seen) -> Split:
    places = [f"{source.file.place(source.name, split)} {row.where}" for row in rows]
    images, keys = _images(source, rows, places)
    for key, place in zip(keys, places, strict=True):
        other, first = seen.setdefault(key, (split, place))
        if other != split:
            raise DataError(
                f"{place}: is also in the {other} split ({first.rpartition(': ')[2]}); "
                "remove one, so that no split knows another's samples"
            )
    return Split(
        images=images,
        tokens=_tokens(source, rows),
        labels=_labels(source.spec, rows),
        targets=_targets(source, rows),
        target_texts=tuple(row.target for row in rows if row.target),
        domains=torch.tensor([source.spec.domains.index(row.domain) for row in rows]),
        other_texts=_others(rows),
        digests=digests(rows, keys, source.spec.modalities),
        mapped_bytes=0 if images is None else _mapped(images.nbytes, source.decoding),
    )


def _others(rows: Rows) -> tuple[tuple[str, ...], ...]:
    """Further right answers of each row; nothing where no row has any."""
    return tuple(row.others for row in rows) if any(row.others for row in rows) else ()


def _images(
    source: _Source, rows: tuple[Row, ...], places: list[str]
) -> tuple[Tensor | None, list[bytes]]:
    """Pixels (N, 3, H, W), and for each row what makes it the same sample."""
    if Modality.IMAGE not in source.spec.modalities:
        lost = Modality.IMAGE in source.lost
        return None, [same(row.text, None, row.shown if lost else "") for row in rows]
    pixels = _canvas(len(rows), source.decoding)
    keys = []
    for number, (row, place) in enumerate(zip(rows, places, strict=True)):
        image = source.file.image(row, place)
        assert image is not None  # noqa: S101 - for mypy: the task reads images
        pixels[number] = resized(image, source.decoding.image_size)
        keys.append(same(row.text, image))
    return pixels, keys


def _canvas(n: int, decoding: Decoding) -> Tensor:
    """Room for the pixels of `n` images: in memory, or in a file without a name."""
    shape = (n, 3, decoding.image_size, decoding.image_size)
    n_bytes = math.prod(shape)
    if not _mapped(n_bytes, decoding):
        return torch.empty(shape, dtype=torch.uint8)
    with TemporaryFile(dir=decoding.scratch) as file:
        os.posix_fallocate(file.fileno(), 0, n_bytes)  # a full disk says so now
        return torch.from_numpy(np.memmap(file, np.uint8, "r+", shape=shape))


def _mapped(n_bytes: int, decoding: Decoding) -> int:
    """How many bytes of a split's pixels lie in a file: all of them, or none."""
    return 0 if decoding.scratch is None or n_bytes <= _IN_MEMORY else n_bytes


def resized(image: Image.Image, size: int) -> Tensor:
    """Pixels of an RGB image, (3, size, size) uint8; bicubic, the sides scaled apart."""
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def _tokens(source: _Source, rows: tuple[Row, ...]) -> Tensor | None:
    if Modality.TEXT not in source.spec.modalities:
        return None
    ids = source.decoding.tokenizer.encode(
        [row.text for row in rows], source.decoding.max_text_tokens
    )
    return trimmed(ids, source.decoding.tokenizer.pad_id)


def _labels(spec: TaskSpec, rows: tuple[Row, ...]) -> Tensor | None:
    if not spec.classifies:
        return None
    index = {name: number for number, name in enumerate(spec.classes)}
    return torch.tensor([index[row.label] for row in rows])


def _targets(source: _Source, rows: tuple[Row, ...]) -> Tensor | None:
    if source.spec.kind is not TaskKind.TEXT_GENERATION:
        return None
    length = source.spec.max_target_tokens + 1  # the start token is not generated
    ids = source.decoding.tokenizer.encode_target([row.target for row in rows], length)
    return trimmed(ids, source.decoding.tokenizer.pad_id)


def trimmed(ids: Tensor, pad: int) -> Tensor:
    """Token ids without the columns in which all is padding. (N, L) -> (N, S)"""
    return ids[:, : int((ids != pad).sum(1).max())].contiguous()
