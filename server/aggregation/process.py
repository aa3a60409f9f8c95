"""Averaging in a process of its own, whose memory is capped and whose death harms nobody.

A child of our own, for `ProcessPoolExecutor` would import the whole coordinator into it, could not
say how it died, and would leave it behind when the coordinator is killed.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from server.aggregation.average import Average
from server.aggregation.files import Contribution
from shared.aggregation_spec import LowRankAggregation
from shared.artifacts import ArtifactStore
from shared.crash_points import VARIABLE
from shared.messages import ComponentSpec

_START_S = 60.0
_ROOT = Path(__file__).parents[2]  # from where `server` can be imported


class AggregationError(Exception):
    """A component could not be averaged; the text says why."""


class Aggregator:
    """Lets one child average, one component at a time, for any number of threads.

    The child serves all rounds; one that has ended is replaced. A context manager.
    """

    def __init__(self, memory_bytes: int, limit: timedelta) -> None:
        self._memory_bytes = memory_bytes
        self._limit_s = limit.total_seconds()
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._ready = False  # it has imported its code, which may take longer than an average
        self._ended = False

    def __enter__(self) -> Self:
        """Start the child, so that the first round need not wait for it."""
        self._child = self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended = True
        if self._child is not None:
            _end(self._child)

    def aggregate(
        self,
        contributions: Sequence[Contribution],
        spec: ComponentSpec,
        store: ArtifactStore,
        low_rank: LowRankAggregation = "factors",
    ) -> Average:
        """As `server.aggregation.aggregate`.

        Raises ReadOnlyError, OSError where the disk is full or fails, ArtifactError where a file is
        missing, StoreAwayError, and AggregationError whatever else goes wrong with the child.
        """
        store.check_writable()
        store.bring(c.sha256 for c in contributions)  # the child reads and writes files alone
        request = {
            "root": str(store.root.resolve()),
            "spec": spec.model_dump(mode="json"),
            "contributions": [(c.client, c.sha256, c.weight) for c in contributions],
            "low_rank": low_rank,
        }
        with self._lock:
            answer = self._ask(json.dumps(request).encode() + b"\n")
        store.read_only = store.read_only or answer.get("read_only", False)
        if "errno" in answer:
            raise OSError(answer["errno"], answer["failure"])
        if "failure" in answer:
            store.doubt()  # it may have been a copy that was damaged on this disk
            raise AggregationError(answer["failure"])
        store.hand_over(answer["sha256"])
        return Average(**answer)

    def _ask(self, request: bytes) -> Any:
        """The child's answer. Raises AggregationError when it ended instead.

        Where it was ended with this process, that is no failure of the average: SystemExit.
        """
        child = self._running()
        try:
            if not self._ready:
                self._ready = bool(_exchange(child, b"", _START_S))
            return json.loads(_exchange(child, request, self._limit_s))
        except BaseException:  # what it might still say is no answer to the next request
            _end(child)
            if self._ended:
                raise SystemExit from None
            raise

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._ended:
            raise SystemExit
        if self._child is None or self._child.poll() is not None:
            self._child = self._start()
            self._ready = False
        return self._child

    def _start(self) -> "subprocess.Popen[bytes]":
        others = {name: value for name, value in os.environ.items() if name != VARIABLE}
        return subprocess.Popen(
            [sys.executable, "-m", "server.aggregation.child", str(self._memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_ROOT,
            env={**others, "OPENBLAS_NUM_THREADS": "1"},
        )


def _exchange(child: "subprocess.Popen[bytes]", request: bytes, limit_s: float) -> bytes:
    """The child's next line. Raises AggregationError when it ends, or is late and is killed."""
    began = time.monotonic()
    late = threading.Timer(limit_s, child.kill)
    late.start()
    try:
        line = _said(child, request)
        if line.endswith(b"\n"):
            return line
        child.wait()
    finally:
        late.cancel()
    if time.monotonic() - began >= limit_s:
        raise AggregationError(f"the aggregating process took longer than {limit_s:.0f} s")
    raise AggregationError(_how_it_ended(child.returncode))


def _said(child: "subprocess.Popen[bytes]", request: bytes) -> bytes:
    """What the child answers; no whole line when it has ended."""
    assert child.stdin is not None  # noqa: S101  # both are pipes
    assert child.stdout is not None  # noqa: S101
    try:
        child.stdin.write(request)
        child.stdin.flush()
    except BrokenPipeError:
        return b""
    return child.stdout.readline()


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Kill the child, for it holds nothing that is needed, and wait for it."""
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        with contextlib.suppress(BrokenPipeError):  # a request that it has not read
            if pipe is not None:
                pipe.close()


def _how_it_ended(status: int) -> str:
    if status < 0:
        name = signal.Signals(-status).name
        return f"the aggregating process was killed by {name}: see whether the memory ran out"
    return f"the aggregating process ended with status {status}: see the coordinator's log"
