"""A page's commands, and a shell in which they are run as they stand there."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.documents import ROOT

Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Shell:
    """A directory and an environment in which `tapestry` is this checkout's."""

    place: Path
    env: Mapping[str, str]

    def run(self, *command: str) -> Done:
        """A command, to its end."""
        return self._run(command, "")

    def walk(self, commands: str, within_s: float) -> Done:
        """All commands, up to the first that fails."""
        return self._run(("bash", "-euo", "pipefail"), commands, within_s)

    def _run(self, command: tuple[str, ...], given: str, within_s: float = 240) -> Done:
        return subprocess.run(
            command,
            input=given,
            cwd=self.place,
            env=self.env,
            text=True,
            capture_output=True,
            timeout=within_s,
            check=False,
        )


@contextmanager
def shell(place: Path) -> Iterator[Shell]:
    """The shell in an empty directory; the stack that was begun there is ended at last."""
    command = place / "bin" / "tapestry"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cli "$@"\n')
    command.chmod(0o755)
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    made = Shell(place, {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)})
    try:
        yield made
    finally:
        down = made.run("tapestry", "down")
        assert down.returncode == 0, down.stderr
