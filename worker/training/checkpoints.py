"""Going on after a kill: what training keeps on the way, so that its end is the same, bit for bit.

An assignment trains once or twice; each training has its purpose as name. Its snapshots hold all
that the rest of it depends on, except the batches, which are drawn again from their seed.
"""

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from shared.crash_points import crash_point
from worker.models.network import State

log = logging.getLogger("tapestry.worker")
T = TypeVar("T")


@dataclass(frozen=True)
class Randomness:
    """The states of torch's own generators."""

    cpu: Tensor
    cuda: list[Tensor]

    @classmethod
    def now(cls) -> "Randomness":
        """As they stand."""
        there = torch.cuda.is_initialized()
        return cls(torch.get_rng_state(), torch.cuda.get_rng_state_all() if there else [])

    def restore(self) -> None:
        """Set them again."""
        torch.set_rng_state(self.cpu)
        if self.cuda:
            torch.cuda.set_rng_state_all(self.cuda)


@dataclass(frozen=True)
class Snapshot:
    """A training after `step` optimizer steps."""

    step: int
    tensors: list[Tensor]  # the parameters, then the rule's
    optimizer: dict[str, Any]
    random: Randomness
    totals: dict[str, list[float]]  # task -> sum of its losses, number of its samples


@dataclass(frozen=True)
class Finished:
    """A training that is done: the state, the mean loss of each task, and the rule's tensors."""

    state: State
    losses: Mapping[str, float]
    rule: list[Tensor]


class Checkpoints(Protocol):
    """Where trainings are kept while their assignment lasts."""

    def finished(self, purpose: str) -> Finished | None:
        """The training of that purpose, if it was done."""

    def finish(self, purpose: str, done: Finished) -> None:
        """Keep a training that is done; its snapshots are not needed any more."""

    def latest(self, purpose: str) -> Snapshot | None:
        """The last snapshot of that purpose."""

    def offer(self, purpose: str, make: Callable[[], Snapshot]) -> None:
        """Keep a snapshot if it is time for one."""


class NoCheckpoints:
    """Keeps nothing."""

    def finished(self, _: str) -> None:
        """Nothing."""

    def finish(self, _: str, __: Finished) -> None:
        """Forget it."""

    def latest(self, _: str) -> None:
        """Nothing."""

    def offer(self, _: str, __: Callable[[], Snapshot]) -> None:
        """Forget it."""


class FileCheckpoints:
    """Keeps trainings in one assignment's directory, a snapshot every `every_s` seconds.

    Work that is younger than that is not kept. A file that cannot be read is as good as none:
    training then does that part again.
    """

    def __init__(self, directory: Path, every_s: float) -> None:
        self._directory = directory
        self._every_s = every_s
        self._last = time.monotonic()

    def settle(self, samples_at_once: int | None) -> int | None:
        """The most samples that go through the network at once in this assignment.

        An attempt of it that began with fewer is followed.
        """
        note = self._directory / "samples_at_once"
        known = int(note.read_text(encoding="ascii")) if note.is_file() else None
        if samples_at_once is None or (known is not None and known <= samples_at_once):
            return known
        self._directory.mkdir(parents=True, exist_ok=True)
        part = note.with_suffix(".new")
        part.write_text(str(samples_at_once), encoding="ascii")
        part.replace(note)
        return samples_at_once

    def finished(self, purpose: str) -> Finished | None:
        """The training of that purpose, if it was done."""
        return self._read(f"{purpose}.done", lambda content: Finished(**content))

    def finish(self, purpose: str, done: Finished) -> None:
        """Keep a training that is done; its snapshots are not needed any more."""
        if self._directory.exists() or self._is_time():
            content = {"state": dict(done.state), "losses": dict(done.losses), "rule": done.rule}
            self._write(f"{purpose}.done", content)
            (self._directory / f"{purpose}.part").unlink(missing_ok=True)

    def latest(self, purpose: str) -> Snapshot | None:
        """The last snapshot of that purpose."""
        return self._read(f"{purpose}.part", _snapshot)

    def offer(self, purpose: str, make: Callable[[], Snapshot]) -> None:
        """Keep a snapshot if it is time for one."""
        if self._is_time():
            snapshot = make()
            content = {**vars(snapshot), "random": vars(snapshot.random)}
            self._write(f"{purpose}.part", content)
            self._last = time.monotonic()

    def _is_time(self) -> bool:
        return time.monotonic() - self._last >= self._every_s

    def _write(self, name: str, content: dict[str, Any]) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        part = self._directory / f"{name}.{os.getpid()}.new"  # another may just be dying
        with part.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        crash_point("trainer.checkpoint")
        part.replace(self._directory / name)

    def _read(self, name: str, make: Callable[[dict[str, Any]], T]) -> T | None:
        path = self._directory / name
        if not path.is_file():
            return None
        try:
            return make(torch.load(path, map_location="cpu", weights_only=True))
        except (OSError, RuntimeError, UnpicklingError, EOFError, KeyError, TypeError) as error:
            log.warning("checkpoint %s cannot be read (%s): its part is done again", path, error)
            return None


def _snapshot(content: dict[str, Any]) -> Snapshot:
    return Snapshot(**{**content, "random": Randomness(**content["random"])})
