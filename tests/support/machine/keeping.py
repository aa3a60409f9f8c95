"""I5 after each step: every file that somebody needs is there, with its size and its bytes."""

import os

from shared.artifacts import ArtifactStore, file_digest
from tests.support.invariants import NEEDED
from tests.support.machine.arena import Query, Rows
from tests.support.machine.base import Figures
from tests.support.machine.reference import need

QUERY: Query = (NEEDED, [])
_Look = tuple[int, int, int, int]  # what changes when somebody writes to a file


class Files:
    """The files that rows refer to; one is read again when it does not look as it did."""

    def __init__(self, store: ArtifactStore, figures: Figures) -> None:
        self._store = store
        self._figures = figures
        self._read: dict[str, _Look] = {}

    def judge(self, found: Rows) -> None:
        """What QUERY found. Raises AssertionError where a file is not what a row says."""
        for row in found:
            self._judge(row["sha256"], row["n_bytes"])

    def _judge(self, sha256: str, n_bytes: int) -> None:
        path = self._store.path(sha256)
        try:
            seen = os.stat(path)  # noqa: PTH116  # half of what a Path takes, at each step
        except FileNotFoundError:
            raise AssertionError(f"I5 artifact {sha256} is not there") from None
        need(seen.st_size == n_bytes, f"I5 artifact {sha256} has {seen.st_size} B, not {n_bytes}")
        look = (seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
        if self._read.get(sha256) != look:
            need(file_digest(path) == sha256, f"I5 artifact {sha256} is damaged")
            self._read[sha256] = look
            self._figures.checks["files"] += 1
