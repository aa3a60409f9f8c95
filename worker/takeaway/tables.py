"""Markdown for the model card: tables, and names that are not taken for markup."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from shared.readiness import Card, SplitCard, Spread

_MARKUP = re.compile(r"([\\`*_{}\[\]<>|#!~$&])")
_SPLITS = ("train", "validation", "test")
_COLUMNS = (
    "task", "split", "samples", "classes", "domains", "text tokens", "target tokens", "pixels",
)  # fmt: skip


def plain(text: str) -> str:
    """A name as it is, in one line, whatever it would mean in Markdown."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """A name as code."""
    return f"`{' '.join(text.split()).replace('`', '')}`"


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of plain cells."""
    lines = [titles, ["---"] * len(titles), *([plain(str(cell)) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def readiness(card: Card) -> Iterator[str]:
    """What the client's data are like, in numbers."""
    yield (
        "What the client's data were like when the model was exported, counted by `tapestry "
        "doctor`; tokens and pixels as least to most (half up to the number in brackets)."
    )
    yield table(_COLUMNS, _splits(card))
    lines = [
        f"- {plain(name)}: {task.skipped} rows that cannot be used, {task.shared} samples in two "
        f"splits, {task.near} held-out samples that look like training samples"
        for name, task in card.tasks.items()
    ]
    found = [finding.severity for finding in card.findings]
    lines.append(
        f"- the doctor's findings: {found.count('error')} errors, {found.count('warning')} warnings"
    )
    yield "\n".join(lines)


def _splits(card: Card) -> Iterator[Sequence[object]]:
    for name, task in card.tasks.items():
        for split in _SPLITS:
            found: SplitCard = getattr(task, split)
            yield (
                name,
                split,
                found.samples,
                _counts(found.classes),
                _counts(found.domains),
                _spread(found.text_tokens),
                _spread(found.target_tokens),
                _pixels(found),
            )


def _counts(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {n}" for name, n in ordered)


def _spread(spread: Spread | None) -> str:
    return "" if spread is None else f"{spread.least} to {spread.most} ({spread.median})"


def _pixels(card: SplitCard) -> str:
    wide, high = _spread(card.widths), _spread(card.heights)
    return f"{wide} by {high}" if wide else ""
