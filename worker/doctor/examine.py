"""Looks at every sample of a client once, and says what it found."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from shared.components import Modality
from shared.job_spec import JobSpec
from shared.readiness import Card, Finding, SplitCard, Spread, TaskCard
from worker.data.agreement import agreed
from worker.data.client_file import ClientFile, Rows
from worker.data.client_task import SPLITS, SplitName
from worker.data.likeness import alike, gradients, same, words
from worker.data.sources import DataError
from worker.data.tokenizer import Tokenizer
from worker.doctor.findings import Patient, of_the_job, of_the_metrics, of_the_task


@dataclass(frozen=True)
class Reading:
    """What of a sample the model reads."""

    tokenizer: Tokenizer | None = None  # without it tokens are not counted
    max_text_tokens: int = 40


@dataclass
class _Looks:
    """What the samples of one split look like."""

    exact: list[bytes] = field(default_factory=list)
    asked: list[bytes] = field(default_factory=list)  # texts, beside an image or alone
    words: list[bytes] = field(default_factory=list)  # of texts without an image
    gradients: list[int] = field(default_factory=list)  # of images
    sizes: list[tuple[int, int]] = field(default_factory=list)


def examine(file: ClientFile, job: JobSpec | None, reading: Reading) -> Card:
    """The card of a client; with a job, of the tasks that both have."""
    cards: dict[str, TaskCard] = {}
    findings: list[Finding] = []
    if job is not None:
        findings += [*of_the_job(file, job), *of_the_metrics(file, job)]
    for name in file.tasks:
        if job is not None and name not in job.tasks:
            continue
        try:
            if job is not None:
                agreed(file, name, job.tasks[name])
            cards[name], skipped = _task(file, name, job, reading)
        except DataError as error:
            findings.append(Finding(severity="error", task=name, sentence=str(error)))
            continue
        findings += of_the_task(Patient(file, name, cards[name], skipped))
    return Card(client=file.client, tasks=cards, findings=tuple(findings))


def _task(
    file: ClientFile, name: str, job: JobSpec | None, reading: Reading
) -> tuple[TaskCard, Sequence[DataError]]:
    skipped: list[DataError] = []
    splits = file.splits(name, skipped)
    reads = file.task(name).modalities if job is None else job.tasks[name].modalities
    lost = Modality.IMAGE in set(reads) - set(file.task(name).modalities)
    looks = {split: _look(file, name, split, rows, lost) for split, rows in splits.items()}
    length = None if job is None else job.tasks[name].max_target_tokens
    cards = {split: _split(rows, looks[split], reading, length) for split, rows in splits.items()}
    card = TaskCard(
        kind=file.task(name).kind,
        skipped=len(skipped),
        shared=_shared(looks),
        near=_near(looks),
        **cards,
    )
    return card, skipped


def _look(file: ClientFile, name: str, split: SplitName, rows: Rows, lost: bool) -> _Looks:
    """`lost`: whether the job's task reads images that the client does not have."""
    looks = _Looks()
    for row in rows:
        image = file.image(row, f"{file.place(name, split)} {row.where}")
        looks.exact.append(same(row.text, image, row.shown if lost else ""))
        looks.asked.append(same(row.text, None))
        if image is None:
            looks.words.append(words(row.shown if lost and row.shown else row.text))
        else:
            looks.gradients.append(gradients(image))
            looks.sizes.append(image.size)
    return looks


def _split(rows: Rows, looks: _Looks, reading: Reading, length: int | None) -> SplitCard:
    texts = _tokens(reading, [row.text for row in rows if row.text])
    targets = _tokens(reading, [row.target for row in rows if row.target])
    return SplitCard(
        samples=len(rows),
        classes=Counter(row.label for row in rows if row.label),
        domains=Counter(row.domain for row in rows),
        text_tokens=Spread.of(texts),
        target_tokens=Spread.of(targets),
        cut_texts=sum(n > reading.max_text_tokens for n in texts),
        cut_targets=0 if length is None else sum(n - 1 > length for n in targets),
        widths=Spread.of([width for width, _ in looks.sizes]),
        heights=Spread.of([height for _, height in looks.sizes]),
        repeated=len(rows) - len({*zip(looks.exact, looks.asked, strict=True)}),
    )


def _tokens(reading: Reading, texts: Sequence[str]) -> list[int]:
    """Tokens of each text, start and end included."""
    if reading.tokenizer is None:
        return []
    return [reading.tokenizer.count(text) for text in texts]


def _shared(looks: Mapping[SplitName, _Looks]) -> int:
    """Samples that stand in two splits."""
    splits = [set(looks[split].exact) for split in SPLITS]
    return sum(map(len, splits)) - len(set().union(*splits))


def _near(looks: Mapping[SplitName, _Looks]) -> int:
    """Samples of validation and test that look like one that trains, and are not the same."""
    train = looks["train"]
    exact, known = set(train.exact), set(train.words)
    images = np.array(train.gradients, dtype=np.uint64)
    found = 0
    for split in ("validation", "test"):
        held_out = looks[split]
        for n, sample in enumerate(held_out.exact):
            if sample not in exact:
                found += (
                    alike(held_out.gradients[n], images)
                    if held_out.gradients
                    else held_out.words[n] in known
                )
    return found
