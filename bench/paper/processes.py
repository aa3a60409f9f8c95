"""Processes that do runs, and end with the command that began them."""

import hashlib
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from division import Division

from cli.stack.guard import die_with_launcher
from shared.job_spec import JobSpec

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Order:
    """How a run is done, wherever it is: everything lies below these directories.

    What one run has computed is remembered below `memory`, by the division of the data, for those
    that would compute it, too.
    """

    cache: Path
    scratch: Path
    device: str
    memory: Path

    def do(self, spec: JobSpec, division: Division) -> dict[str, Any]:
        """A run's result. Raises what goes wrong in it."""
        from execute import execute
        from memory import Memory

        said = self._said(spec.name).open("w", encoding="utf-8", buffering=1)
        with said, redirect_stderr(said):
            clients = self.clients(division)
            with tempfile.TemporaryDirectory(dir=self.scratch) as scratch:
                # Clients of other divisions have the same names, and other data.
                memory = Memory(self.memory / clients.name)
                return execute(spec, clients, Path(scratch), self.device, memory)

    def rounds_done(self, name: str) -> int:
        """How far a run is, by what it says."""
        try:
            return self._said(name).read_text(encoding="utf-8").count("round ")
        except FileNotFoundError:
            return 0

    def _said(self, name: str) -> Path:
        return self.scratch / f"{name}.log"

    def clients(self, division: Division) -> Path:
        """The clients of a division of the data, made once. Raises PrepareError."""
        from fashion import obtain as obtain_fashion
        from prepare import is_prepared, put, write
        from shares import build

        recipe = hashlib.sha256(repr(division).encode())
        for name in ("division.py", "shares.py"):
            recipe.update((HERE / name).read_bytes())
        target = self.cache / f"paper-{recipe.hexdigest()[:16]}"
        if not is_prepared(target, recipe.hexdigest()):
            packages = self.cache / "packages"
            parts = build(packages, obtain_fashion(packages), division)
            put(target, recipe.hexdigest(), lambda folder: write(parts, folder))
        return target


@contextmanager
def processes(n: int) -> Iterator[ProcessPoolExecutor]:
    """A pool whose processes end when the block does, also where it ends by an exception.

    What they were writing is removed then; they do not outlive a launcher that is killed, either.
    """
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # they would spin
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(n, context, _begin, (os.getpid(),))
    try:
        yield pool
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(launcher: int) -> None:
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the launcher hears it, too, and ends this one
    die_with_launcher(launcher, signal.SIGKILL)


def _stop(number: int, _: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
