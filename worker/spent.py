"""What an assignment takes in the training process: told with its answer, counted by the worker."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, get_args

from shared.results import Pace

Phase = Literal["pull", "load", "plan", "train", "replace", "evaluate", "upload"]
PHASES: tuple[Phase, ...] = get_args(Phase)
Device = Literal["cpu", "gpu"]
DEVICES: tuple[Device, ...] = get_args(Device)


@dataclass
class Spent:
    """Seconds by phase, optimizer steps, samples that went through the network, peak memory.

    Of the steps that its trainings `asked` for, those that an earlier process made are not counted.
    """

    seconds: dict[Phase, float] = field(default_factory=dict)
    steps: int = 0
    samples: int = 0
    asked: int = 0
    intervals_ns: list[tuple[Phase, int, int]] = field(default_factory=list)  # of the wall's clock
    peak_bytes: dict[Device, int] = field(default_factory=dict)  # since the process began

    @contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        """Add the block's time to the phase."""
        began, began_ns = time.monotonic(), time.time_ns()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began
            self.intervals_ns.append((name, began_ns, time.time_ns()))

    def stepped(self, samples: int) -> None:
        """Count an optimizer step and its samples."""
        self.steps += 1
        self.samples += samples

    @property
    def pace(self) -> Pace | None:
        """By which later jobs can be foreseen; None where no step was made here."""
        if not self.steps:
            return None
        return Pace(steps=self.asked, step_seconds=self.seconds["train"] / self.steps)
