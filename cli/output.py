"""What commands print: names and sentences of others are shown and never run.

A job's name, a worker's sentence or a proxy's answer may hold what a terminal would obey (an escape
sequence), what turns the direction of a line, or what rich would take for markup.
"""

import json
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

_WIDTH_WITHOUT_TERMINAL = 140
_TURNING = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class SafeConsole(Console):
    """A console whose texts hold nothing that a terminal would obey; its own colours do."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The pieces of what is printed, harmless."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else Segment(harmless(piece.text), piece.style)


def console(*, beside: bool = False) -> Console:
    """Where we print, as it is; wide where nobody's terminal says how wide.

    `beside` the answer is on standard error.
    """
    plain = SafeConsole(markup=False, emoji=False, highlight=False, stderr=beside)
    if not plain.is_terminal:
        plain.width = _WIDTH_WITHOUT_TERMINAL
    return plain


def harmless(text: str) -> str:
    """The text without control characters but line ends, and in one direction."""
    return "".join(each for each in text if each == "\n" or not _obeyed(each))


def one_line(text: str) -> str:
    """The same in one line."""
    return harmless(" ".join(text.split()))


def _obeyed(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind in {"Cc", "Cs", "Zl", "Zp"} or character in _TURNING


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    print(harmless(text), flush=True)


def warn(text: str) -> None:
    """Print a line beside the answer, on standard error."""
    print(one_line(text), file=sys.stderr, flush=True)


def print_json(
    value: BaseModel, *, indent: int | None = 1, leaving_out: set[str] | None = None
) -> None:
    """Print what the API answered as JSON; `indent` None for one line."""
    say(escaped(value.model_dump_json(indent=indent, exclude=leaving_out)))


def print_data(value: Mapping[str, Any]) -> None:
    """Print as JSON what a command of this machine has done."""
    say(escaped(json.dumps(value, indent=1, ensure_ascii=False)))


def escaped(text: str) -> str:
    """The same JSON without a character that a terminal would obey."""
    return "".join(f"\\u{ord(c):04x}" if c != "\n" and _obeyed(c) else c for c in text)


def write_whole(path: Path, text: str) -> None:
    """Write a file, or leave what was there. Raises OSError."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
