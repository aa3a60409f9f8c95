"""What all rules share: asking the service, with faults, and expecting the answer."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from tests.support.machine.arena import Arena
from tests.support.machine.averages import Averages
from tests.support.machine.calls import Answer, Course, Fault, KilledError, Running
from tests.support.machine.reference import Reference, need

T = TypeVar("T")
Expected = Callable[[], "Expectation"]
Faults = tuple[Fault, int] | None

PICK = st.integers(0, 7)
FAULTS: st.SearchStrategy[Faults] = st.sampled_from(
    [*[None] * 30, *[(fault, at) for fault in Fault for at in (1, 2, 3)]]
)

_TICK = timedelta(milliseconds=1)
_AWAY = 503


@dataclass(frozen=True)
class Expectation:
    """What a request must be answered, and what the reference does then."""

    status: int
    code: str = ""
    then: Callable[[Answer], None] = lambda _: None


@dataclass
class Frozen:
    """A call that stands still; `follow` is what is to be done when it has ended."""

    running: Running
    name: str
    follow: Callable[[Any], None]
    holds_part: bool = True  # where it sends bytes: not after it has dropped those refused


@dataclass
class Figures:
    """What a run of the machine did."""

    rules: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)

    @property
    def steps(self) -> int:
        """Calls after which all invariants were checked."""
        return self.checks["steps"]

    def add(self, other: "Figures") -> None:
        """Count what another run did as well."""
        for name, counted in vars(self).items():
            counted.update(vars(other)[name])


class _Errors(logging.Handler):
    """Keeps what the server's code logs as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it, unless it is a fault that the machine has made."""
        text = self.format(record)
        if "CollectedError" not in text and "the connection was cut" not in text:
            self.found.append(text)


class Base(RuleBasedStateMachine):
    """A run: the arena, emptied, and the reference beside it."""

    arena: Arena
    figures: Figures

    def __init__(self) -> None:
        super().__init__()
        self.reference = Reference(Averages())
        self.frozen: list[Frozen] = []
        self.last_event = 0
        self.faulted = False  # in this step: the answer, or what became of it, is not known
        self.errors = _Errors()
        logging.getLogger("server").addHandler(self.errors)
        self.arena.begin()
        [[row]] = self.arena.query(("SELECT coalesce(max(id), 0) AS last FROM events", []))
        self.last_event = row["last"]

    @property
    def now(self) -> Any:
        """The database's time."""
        return self.arena.clock.now

    def step(self, name: str) -> None:
        """A rule begins."""
        self.figures.rules[name] += 1
        self.faulted = False
        self.arena.clock.pass_(_TICK)

    def request(self, who: str, route: str, body: Any = None) -> Answer:
        """A request that nothing befalls; never answered by a 5xx."""
        return self.judged(f"{route} by {who}", self.arena.request(who, route, body))

    def judged(self, name: str, answer: Answer) -> Answer:
        """The answer, which must not be the server's own fault."""
        need(answer.status < 500, f"I10 {name}: {answer}")
        self.figures.answers[f"{answer.status} {answer.code}".strip()] += 1
        return answer

    def ask(
        self,
        fault: Faults,
        expected: Expected,
        who: str,
        route: str,
        body: Any = None,
        later: Callable[[Answer], None] | None = None,
        **headers: str,
    ) -> Answer | None:
        """A request that must be answered as expected; None where a fault befell it.

        `later` judges the answer of one that was frozen in the middle, if that differs.
        """
        name = f"{route} by {who}"
        if fault is None:
            wanted = expected()
            answer = self.arena.request(who, route, body, **headers)
            self._compare(name, wanted, answer)
            return answer
        running = self.arena.begun(Course(*fault), who, route, body, **headers)
        wanted = expected()
        if not running.ended():
            self._met(running)
            follow = later or (lambda answer: self._compare(name, expected(), answer))
            self.frozen.append(Frozen(running, name, follow))
            return None
        return self._ended(name, running, wanted)

    def _ended(self, name: str, running: Running, wanted: Expectation) -> Answer | None:
        try:
            answer: Answer = running.result()
        except KilledError:
            self._met(running)
            return None
        if not running.course.met:
            self._compare(name, wanted, answer)
            return answer
        self._met(running)
        need(answer.status == _AWAY, f"{name}: {answer} though the connection was cut")
        return None

    def _met(self, running: Running) -> None:
        self.figures.faults[running.course.fault] += 1
        self.faulted = True

    def _compare(self, name: str, wanted: Expectation, answer: Answer) -> None:
        self.judged(name, answer)
        same = answer.status == wanted.status and wanted.code in {"", answer.code}
        need(same, f"{name}: answered {answer}, expected {wanted.status} {wanted.code}")
        wanted.then(answer)

    def thaw_one(self, each: Frozen, *, dead: bool = False) -> None:
        """Let a frozen call go on to its end, or have it killed."""
        self.frozen.remove(each)
        self.faulted = True  # what it had done before it froze is not known
        each.running.course.thaw(dead=dead)
        need(each.running.ended(), f"{each.name}: frozen twice")
        try:
            result = each.running.result()
        except KilledError:
            return
        each.follow(result)

    def teardown(self) -> None:
        """Leave nothing that runs."""
        for each in list(self.frozen):
            each.running.course.thaw(dead=True)
            each.running.ended()
        logging.getLogger("server").removeHandler(self.errors)


def chosen(pick: int, among: Sequence[T]) -> T | None:
    """One of them, the newest for 0; None of nothing."""
    return among[-1 - pick % len(among)] if among else None
