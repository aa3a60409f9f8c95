"""`tapestry doctor`: what client files and their data are like, before anything trains."""

import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from rich.table import Table

from cli.takeaway import part_error
from cli.worker import need_packages
from shared.readiness import Card, Cards, SplitCard, Spread, TaskCard

SPLITS = ("train", "validation", "test")
_COLUMNS = ("task", "kind", "split", "samples", "classes", "tokens", "target", "pixels")
_MOST_CLASSES = 4


def examined(files: Sequence[Path], job: Path | None) -> Cards:
    """The files' readiness cards, made by a process that may load torch. Raises PartError."""
    need_packages()
    options = [] if job is None else ["--job", str(job)]
    done = subprocess.run(
        [sys.executable, "-m", "worker.doctor", *options, "--", *map(str, files)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise part_error(done.stderr, done.returncode)
    return Cards.model_validate_json(done.stdout)


def table(card: Card) -> Table:
    """A client's tasks, split by split."""
    found = Table(title=f"client {card.client}", title_justify="left")
    for column in _COLUMNS:
        found.add_column(column, justify="right" if column == "samples" else "left")
    for name, task in card.tasks.items():
        for row in _rows(name, task):
            found.add_row(*row)
        found.add_section()
    return found


def _rows(name: str, task: TaskCard) -> Iterator[Iterable[str]]:
    for split in SPLITS:
        first = split == SPLITS[0]
        found: SplitCard = getattr(task, split)
        yield (
            name if first else "",
            task.kind if first else "",
            split,
            str(found.samples),
            _classes(found.classes),
            _spread(found.text_tokens),
            _spread(found.target_tokens),
            _pixels(found),
        )


def _classes(counts: Mapping[str, int]) -> str:
    """How many samples each class has, the largest first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{name} {n}" for name, n in ordered[:_MOST_CLASSES])
    rest = len(ordered) - _MOST_CLASSES
    return f"{shown} and {rest} more" if rest > 0 else shown


def _spread(spread: Spread | None) -> str:
    return "" if spread is None else f"{spread.least} to {spread.most}, half up to {spread.median}"


def _pixels(card: SplitCard) -> str:
    wide, high = card.widths, card.heights
    if wide is None or high is None:
        return ""
    smallest, largest = f"{wide.least}x{high.least}", f"{wide.most}x{high.most}"
    return smallest if smallest == largest else f"{smallest} to {largest}"
