"""Pieces of Markdown that several of the generated pages are made of."""

import re
from collections.abc import Iterable, Sequence

_NO_WORD = re.compile(r"[^\w\- ]")


def cell(text: str) -> str:
    """What may stand in a table's cell."""
    return " ".join(text.replace("|", "\\|").split())


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with a line for each row."""
    top, *rest = (f"| {' | '.join(map(cell, line))} |\n" for line in (head, *rows))
    return "".join([top, "|" + "---|" * len(head) + "\n", *rest])


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return _NO_WORD.sub("", heading.strip().lower()).replace(" ", "-")


def code(words: Iterable[object]) -> str:
    """Words as code, one behind the other."""
    return ", ".join(f"`{word}`" for word in words)
