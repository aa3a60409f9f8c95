"""Disturbs the stack after a schedule that the seed alone decides.

One thread does everything: begins a fault when its time has come, heals those whose time is over,
and starts again what has ended. A fault that finds no free target is put off.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos.faults import Fault
from tests.chaos.network import Heal
from tests.chaos.stack import Disturbed, Service

_TICK_S = 0.02
_MOST_AT_ONCE = 5
_ENDS_WITHIN_S = 40.0  # a process that is told to end: its timers may take 10 s


@dataclass(frozen=True, eq=False)
class Planned:
    """A fault of the schedule."""

    after_s: float  # since the one before
    fault: Fault[Any]
    seconds: float
    draw: Random  # the fault's own


def schedule(seed: int, faults: Sequence[Fault[Any]], gap_s: float) -> Iterator[Planned]:
    """Faults without end: each kind once, in any order, then again."""
    draw = Random(f"chaos {seed}")
    while True:
        for fault in draw.sample(faults, len(faults)):
            after_s, seconds = draw.uniform(0.5, 1.5) * gap_s, draw.uniform(*fault.seconds)
            yield Planned(after_s, fault, seconds, Random(draw.getrandbits(64)))


@dataclass
class Running:
    """A fault that has begun."""

    planned: Planned
    target: Any
    until: float
    heal: Heal


@dataclass
class Tally:
    """What was done: faults that hit something, by kind, and what ended by itself."""

    hits: Counter[str] = field(default_factory=Counter)
    misses: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """All that have hit."""
        return self.hits.total()


class Nemesis:
    """Disturbs a stack; everything is healed when `run` has ended, in whatever way."""

    def __init__(self, stack: Disturbed, plan: Iterator[Planned], diary: Path) -> None:
        self.tally = Tally()
        self._stack = stack
        self._plan = plan
        self._diary = diary
        self._running: list[Running] = []
        self._put_off: list[Planned] = []
        self._began = time.monotonic()

    def run(self, enough: Callable[[], bool]) -> None:
        """Disturb until it is enough."""
        try:
            while not enough():
                planned = next(self._plan)
                self._wait(planned.after_s, enough)
                for each in [planned, *self._put_off[:1]]:
                    self._try(each)
        finally:
            for running in list(self._running):
                self._heal(running)
            self.tend()

    def tend(self) -> None:
        """Start again what has ended; nothing may take long to end once it is told to."""
        for service in self._stack.services.values():
            if service.fault:
                continue
            if (status := self._stack.status(service)) is not None:
                self._note_end(service, status)
                self._stack.start(service)
            elif service.told_at and time.monotonic() - service.told_at > _ENDS_WITHIN_S:
                service.say_where()
                time.sleep(1)  # it writes where each of its threads is
                raise AssertionError(f"{service.name} does not end; see {service.log}")

    def _wait(self, seconds: float, enough: Callable[[], bool]) -> None:
        """Heal and tend meanwhile; longer while too much is broken."""
        until = time.monotonic() + seconds
        while not enough():
            for running in [r for r in self._running if r.until <= time.monotonic()]:
                self._heal(running)
            self.tend()
            if time.monotonic() >= until and len(self._running) < _MOST_AT_ONCE:
                return
            time.sleep(_TICK_S)

    def _try(self, planned: Planned) -> None:
        """Begin it; what finds no free target now, or hits nothing, is tried again later."""
        if planned in self._put_off:
            self._put_off.remove(planned)
        free = [t for t in planned.fault.targets(self._stack) if _is_free(t)]
        if free:
            self._begin(planned, planned.draw.choice(free))
        else:
            self._put_off.append(planned)

    def _begin(self, planned: Planned, target: Any) -> None:
        heal = planned.fault.begin(self._stack, target, planned.draw)
        if heal is None:
            self._note(planned, target, hit=False)
            return
        target.fault = planned.fault.kind
        until = time.monotonic() + planned.seconds
        self._running.append(Running(planned, target, until, heal))

    def _heal(self, running: Running) -> None:
        self._running.remove(running)
        hit = running.heal()
        running.target.fault = ""
        self._note(running.planned, running.target, hit=hit)

    def _note(self, planned: Planned, target: Any, *, hit: bool) -> None:
        kind = planned.fault.kind
        (self.tally.hits if hit else self.tally.misses)[kind] += 1
        if not hit:
            self._put_off.append(planned)
        self._write({"fault": kind, "target": target.name, "hit": hit})

    def _note_end(self, service: Service, status: int) -> None:
        """Ends that nobody asked for are told apart by what the process said last."""
        told = service.told_at is not None
        if not told or status != 0:
            said = service.last_words()
            self.tally.ended[f"{service.role} with status {status} ({said})"] += 1
            self._write({"ended": service.name, "status": status, "told": told, "said": said})

    def _write(self, entry: dict[str, Any]) -> None:
        entry["at_s"] = round(time.monotonic() - self._began, 2)
        with self._diary.open("a") as file:
            file.write(json.dumps(entry) + "\n")


def _is_free(target: Any) -> bool:
    """Whether nothing is done to it, and it lives."""
    if isinstance(target, Service) and (target.told_at or not target.alive):
        return False
    return not target.fault
