"""Child processes that end with their launcher, log to a file, and say why they ended.

Each child leads its own process group, so that Ctrl-C reaches the launcher alone, which then
stops them in order. Two things see to it that nothing survives the launcher: the kernel's
parent-death signal (guard.py) and a watching process that also removes directories (reaper.py).
"""

import contextlib
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from cli.stack import guard, reaper
from cli.stack.errors import StackError

_SAID_LINES = 3  # of a log in which no line looks like an error
_TELLING = re.compile(r"(Error|Exception|ERROR|FATAL|CRITICAL)\b")
_SAID_CHARACTERS = 300


@dataclass(frozen=True)
class Command:
    """What to start, and how."""

    name: str
    arguments: Sequence[str | Path]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    drop_root: bool = False

    @property
    def guarded(self) -> list[str]:
        """The arguments with the guard in front; the guard becomes the command."""
        root = self.drop_root and hasattr(os, "geteuid") and os.geteuid() == 0
        front = [str(os.getpid()), str(int(self.stop_signal)), "1" if root else "0"]
        return _python(guard.__file__, *front, *map(str, self.arguments))


@dataclass(eq=False)
class Child:
    """A running child; the process changes when it is started again."""

    command: Command
    process: "subprocess.Popen[bytes]"
    log: Path
    log_begins: int  # bytes that earlier children had written

    @property
    def ended(self) -> bool:
        """Whether it no longer runs."""
        return self.process.poll() is not None

    def failure(self) -> StackError:
        """The error that says how it ended, where its log lies and what stands there last."""
        lines = self.last_lines(40)
        lines = [line for line in lines if _TELLING.search(line)][-1:] or lines[-_SAID_LINES:]
        said = ": " + " | ".join(lines) if lines else ""
        code = self.process.returncode
        return StackError(f"{self.command.name} ended with status {code}; see {self.log}{said}")

    def last_lines(self, count: int) -> list[str]:
        """The last lines of its own that hold anything, without control characters."""
        with self.log.open("rb") as file:
            file.seek(max(self.log_begins, file.seek(0, os.SEEK_END) - 16384))
            text = file.read().decode("utf-8", "replace")
        lines = ("".join(c for c in line if c.isprintable()).strip() for line in text.splitlines())
        return [line[:_SAID_CHARACTERS] for line in lines if line][-count:]

    def stop(self, within_s: float = 10.0) -> None:
        """Ask it to stop, wait, and kill what is left of its group."""
        if not self.ended:
            self.process.send_signal(self.command.stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(within_s)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Processes:
    """Starts children and directories and leaves none of them behind. A context manager."""

    def __init__(self) -> None:
        self.children: list[Child] = []
        self._directories: list[Path] = []
        self._reaper = subprocess.Popen(
            _python(reaper.__file__),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self, command: Command, log: Path, output: Path | None = None) -> Child:
        """Start a command that appends to `log`, what it prints to `output` if given.

        Raises StackError when it cannot be started.
        """
        child = Child(command, *_launch(command, log, output or log))
        self.children.append(child)
        self._tell({"watch": [child.process.pid, int(command.stop_signal)]})
        return child

    def start_again(self, child: Child) -> None:
        """Start a child that has ended as it was, in place of it. Raises StackError."""
        child.stop(within_s=0.0)
        self._tell({"forget": child.process.pid})
        child.process, child.log, child.log_begins = _launch(child.command, child.log, child.log)
        self._tell({"watch": [child.process.pid, int(child.command.stop_signal)]})

    def run(self, command: Command, log: Path, within_s: float) -> None:
        """Run a command to its end. Raises StackError when it fails or takes too long."""
        self.wait(self.start(command, log), within_s)

    def wait(self, child: Child, within_s: float) -> None:
        """Wait for a child's end and forget it. Raises StackError as `run`."""
        try:
            code = child.process.wait(within_s)
        except subprocess.TimeoutExpired as error:
            raise StackError(
                f"{child.command.name} did not end within {within_s:.0f} s; see {child.log}"
            ) from error
        finally:
            self.stop(child)
        if code != 0:
            raise child.failure()

    def stop(self, child: Child, within_s: float = 10.0) -> None:
        """Stop one child and forget it."""
        child.stop(within_s)
        self.children.remove(child)
        self._tell({"forget": child.process.pid})

    def stop_together(self, children: Sequence[Child], within_s: float) -> None:
        """Ask all of them to stop at once, and kill those that have not after `within_s`."""
        for child in children:
            if not child.ended:
                child.process.send_signal(child.command.stop_signal)
        end = time.monotonic() + within_s
        while time.monotonic() < end and not all(child.ended for child in children):
            time.sleep(0.02)
        for child in children:
            self.stop(child, within_s=0.0)

    def own_directory(self, path: Path) -> Path:
        """Remove this directory at the end."""
        self._directories.append(path)
        self._tell({"directory": str(path)})
        return path

    def stop_all(self) -> None:
        """Stop every child, newest first."""
        while self.children:
            self.stop(self.children[-1])

    def check(self) -> None:
        """Raises StackError when a child has ended although nobody stopped it."""
        for child in self.children:
            if child.ended:
                raise child.failure()

    def close(self) -> None:
        """Stop everything and remove the directories. May be called twice."""
        self.stop_all()
        while self._directories:
            shutil.rmtree(self._directories.pop(), ignore_errors=True)
        if self._reaper.stdin and not self._reaper.stdin.closed:
            with contextlib.suppress(OSError):
                self._reaper.stdin.close()
        self._reaper.wait()

    def _tell(self, message: dict[str, object]) -> None:
        stdin = self._reaper.stdin
        if stdin is not None:
            with contextlib.suppress(OSError):  # a reaper that somebody killed is only a loss
                stdin.write(json.dumps(message).encode() + b"\n")
                stdin.flush()


def _launch(
    command: Command, log: Path, output: Path
) -> tuple["subprocess.Popen[bytes]", Path, int]:
    """The process, its log, and how long that was before. Raises StackError."""
    try:
        with _appending(log) as errors, _appending(output) as printed:
            begins = errors.seek(0, os.SEEK_END)
            process = subprocess.Popen(
                command.guarded,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=errors,
                env={**os.environ, **command.env},
                cwd=command.cwd,
                start_new_session=True,
            )
    except OSError as error:
        raise StackError(f"{command.name} cannot be started ({error}): {_remedy(error)}") from error
    return process, log, begins


def _appending(path: Path) -> IO[bytes]:
    """The file, private when new; the child inherits it."""
    return os.fdopen(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600), "ab")


def _python(*arguments: str) -> list[str]:
    return [sys.executable, "-I", "-S", *arguments]


def _remedy(error: OSError) -> str:
    return (
        "free some disk space"
        if error.errno == errno.ENOSPC
        else "check the file and its permissions"
    )
