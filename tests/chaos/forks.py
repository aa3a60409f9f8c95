"""Starts the service's processes in milliseconds: forks of one that has imported everything."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from cli.stack.processes import Command

ROOT = Path(__file__).parents[2]


class Forks:
    """The process that forks, as its user sees it."""

    def __init__(self, ends: Path, log: Path, shim: Path | None) -> None:
        self._ends = ends
        arguments: list[str | Path] = [sys.executable, "-m", "tests.chaos.forker", ends]
        command = Command("forks", arguments, stop_signal=signal.SIGKILL)
        preload = {"LD_PRELOAD": str(shim)} if shim else {}
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                command.guarded,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                cwd=ROOT,
                env={**os.environ, **preload, "OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )

    def start(self, role: str, env: Mapping[str, str], log: Path, machine: Path) -> tuple[int, int]:
        """Start a process of the service; returns its pid and a handle, also if it ends at once."""
        wish = {"role": role, "env": dict(env), "log": str(log), "machine": str(machine)}
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the process that forks has no pipes")
        stdin.write(json.dumps(wish).encode() + b"\n")
        stdin.flush()
        pid = int(stdout.readline())
        handle = os.pidfd_open(pid)
        stdin.write(b"\n")
        stdin.flush()
        return pid, handle

    def trainers(self) -> list[int]:
        """The training processes of all workers."""
        forking = [
            child
            for child in psutil.Process(self._process.pid).children()
            if any("multiprocessing.forkserver" in part for part in _arguments(child))
        ]
        return [child.pid for each in forking for child in each.children()]

    def ends(self) -> dict[int, int]:
        """How each process ended that has: its status, negative for a signal."""
        text = self._ends.read_text() if self._ends.exists() else ""
        return {int(pid): int(code) for pid, code in map(str.split, text.splitlines())}

    def close(self) -> None:
        """End it, and with it all forks."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []
