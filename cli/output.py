"""What commands print: names and sentences of others are shown, never run, and no markup."""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from shared.terminal import escaped, harmless, one_line

_WIDTH_WITHOUT_TERMINAL = 140


class SafeConsole(Console):
    """A console whose texts hold nothing that a terminal would obey; its own colours do."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The pieces of what is printed, harmless."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else Segment(harmless(piece.text), piece.style)

    def on_broken_pipe(self) -> None:
        """Whoever read has read enough: told by the error, which rich would end the process on."""
        raise  # noqa: PLE0704 - rich calls it where it handles the error


def console(*, beside: bool = False) -> Console:
    """Where we print, as it is; wide where nobody's terminal says how wide.

    `beside` the answer is on standard error.
    """
    plain = SafeConsole(markup=False, emoji=False, highlight=False, stderr=beside)
    if not plain.is_terminal:
        plain.width = _WIDTH_WITHOUT_TERMINAL
    return plain


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


def write_whole(path: Path, text: str) -> None:
    """Write a file, or leave what was there; what is no file, as a pipe, is written into.

    Raises OSError.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
