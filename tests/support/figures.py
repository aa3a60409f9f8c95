"""Figures of a long test, printed by the command that made them and kept in docs/reliability.md.

Each command owns one section of the page, between two marks. With `record` the section is written
anew; nothing else of the page is touched.
"""

import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"

Row = tuple[str, object]


def show(
    section: str, command: str, rows: Sequence[Row], *, record: bool, page: Path = PAGE
) -> None:
    """Print the section's table, and keep it on the page if asked. Raises ValueError.

    `command` is what a reader types to see the same; the commit and the date are added.
    """
    text = _table(command, rows)
    print(text)
    if record:
        page.write_text(_replaced(page.read_text(), section, text))


def _table(command: str, rows: Sequence[Row]) -> str:
    when = datetime.now(UTC).date().isoformat()
    lines = [f"`{command}`, {when}, commit {_commit()}", "", "| what | figure |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {value} |" for name, value in rows)])


def _replaced(page: str, section: str, text: str) -> str:
    begin, end = f"<!-- figures: {section} -->", "<!-- end -->"
    pattern = re.compile(f"({re.escape(begin)}\n).*?({end})", re.DOTALL)
    made, count = pattern.subn(lambda marks: f"{marks[1]}{text}\n{marks[2]}", page)
    if count != 1:
        raise ValueError(f"the page has {count} places for the figures {section!r}: give it one")
    return made


def _commit() -> str:
    """The commit, and whether anything but a page like this one is changed."""
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs")
    return _git("rev-parse", "--short", "HEAD") + ("-dirty" if changed else "")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()
