"""Texts of others on somebody's terminal: shown and never run.

A job's name, a worker's sentence or a proxy's answer may hold what a terminal would obey (an escape
sequence), or what turns the direction of a line.
"""

import os
import sys
import unicodedata
from pathlib import Path
from typing import TextIO

_TURNING = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def take_any_text() -> None:
    """Have the outputs take what they cannot show, or nothing at all where a caller closed them."""
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def harmless(text: str) -> str:
    """The text without control characters but line ends, and in one direction."""
    return "".join(each for each in text if each == "\n" or not _obeyed(each))


def one_line(text: str) -> str:
    """The same in one line."""
    return harmless(" ".join(text.split()))


def escaped(text: str) -> str:
    """The same JSON without a character that a terminal would obey, or that the output lacks."""
    known = _fits(text)
    return "".join(
        _escape(c) if c != "\n" and (_obeyed(c) or not (known or c.isascii())) else c for c in text
    )


def _fits(text: str) -> bool:
    """Whether standard output can say all of it."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", errors="surrogatepass")
    return "".join(f"\\u{units[n] << 8 | units[n + 1]:04x}" for n in range(0, len(units), 2))


def _obeyed(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind in {"Cc", "Cs", "Zl", "Zp"} or character in _TURNING
