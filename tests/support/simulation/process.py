"""A process: its clock, what it waits for, and whether it lives."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from tests.support.simulation.rows import Request

Address = tuple[str, int]  # a process, and which of its calls


@dataclass(slots=True, eq=False)
class Task:
    """Something that a process does: it yields seconds to sleep, or a request to be answered."""

    work: Generator[float | Request, Any, Any]
    answers: Address | None = None  # whom the end of it is told
    begun: bool = False
    broken: bool = False  # its last commit was not answered


@dataclass(slots=True, eq=False)
class Call:
    """A request under way."""

    task: Task
    request: Request
    tries: int = 0


class Process:
    """What a crash takes is here; what is durable is kept by the subclasses."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.frozen_until = 0.0
        self.rate = 1.0
        self.offset = 0.0
        self.timers: dict[int, tuple[float, Task]] = {}  # token -> (its own clock's time, task)
        self.calls: dict[int, Call] = {}
        self.thread: Task | None = None  # what it was started for

    def clock(self, now: float) -> float:
        """What its own clock says; no decision of the server reads it."""
        return now * self.rate + self.offset

    def crash(self) -> None:
        """End at once: whatever it was doing is gone."""
        self.alive = False
        self.timers.clear()
        self.calls.clear()
