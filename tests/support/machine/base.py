"""What all rules share: asking the service, following its log, comparing its rows."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from shared.states import ASSIGNMENT_HELD, AssignmentState
from tests.support.machine.arena import Arena
from tests.support.machine.averages import Averages
from tests.support.machine.calls import Answer, Course, Fault, KilledError, Running
from tests.support.machine.reference import Reference, need
from tests.support.machine.rows import Work

T = TypeVar("T")
Expected = Callable[[], "Expectation"]
Faults = tuple[Fault, int] | None

PICK = st.integers(0, 7)
FAULTS: st.SearchStrategy[Faults] = st.sampled_from(
    [*[None] * 30, *[(fault, at) for fault in Fault for at in (1, 2, 3)]]
)

_TICK = timedelta(milliseconds=1)
_AWAY = 503
_ASSIGNMENTS = """
    SELECT id, round_id, client_id, kind, components, state, attempt, released,
        lease_id::text, lease_until, not_before
    FROM assignments
    WHERE state IN ('queued', 'leased', 'suspect') OR id = ANY(%s) OR created_at = %s
    ORDER BY round_id, client_id
"""
_ROUNDS = """
    SELECT id, job_id, phase, number, state, quorum, target, deadline_at, quorum_at, extensions
    FROM rounds WHERE closed_at IS NULL OR closed_at = %s OR id = ANY(%s)
"""
_JOBS = """
    SELECT id, state, CASE WHEN created_at = %s THEN spec END AS spec, created_at,
        forked_from, forked_round
    FROM jobs
"""
_EVENTS = "SELECT id, kind, job_id, data FROM events WHERE id > %s ORDER BY id"
_STATES = """
    SELECT job_id, client_id, state_digest, parent_state_digest FROM job_clients
    WHERE state_digest IS NOT NULL OR parent_state_digest IS NOT NULL
"""
_COUNTS = """
    SELECT count(*) AS contributions, (SELECT count(*) FROM attempts) AS attempts
    FROM contributions
"""


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

    # what the database says

    def observe(self) -> None:
        """Follow what is new in the log, and compare the rows with the reference."""
        reference = self.reference
        works = [w.id for w in reference.work.values() if w.active]
        live = [r.id for j in reference.jobs.values() if (r := j.live)]
        found = self.arena.query(
            (_ASSIGNMENTS, [works, self.now]),
            (_ROUNDS, [self.now, live]),
            (_JOBS, [self.now]),
            (_EVENTS, [self.last_event]),
            (_STATES, []),
            (_COUNTS, []),
        )
        assignments, rounds, jobs, events, states, [counts] = found
        rows = {str(row["id"]): row for part in (assignments, jobs) for row in part}
        rows |= {f"{row['job_id']} {row['phase']} {row['number']}": row for row in rounds}
        for event in events:
            reference.follow(event, rows, self.now)
            self.last_event = event["id"]
        reference.settled()
        self._accepted()
        self._published()
        self._compare_jobs(jobs, rounds)
        for row in assignments:
            self._compare_work(reference.work[str(row["id"])], row)
        self._compare_states(states)
        self._compare_counts(counts)
        need(not self.errors.found, "\n".join(self.errors.found))
        self.figures.checks["steps"] += 1

    def _accepted(self) -> None:
        """What was accepted is one of the results that were sent for it."""
        for work in self.reference.accepted:
            [[row]] = self.arena.query(("SELECT result FROM assignments WHERE id = %s", [work.id]))
            sent = [each for each in work.sent if _as_sent(row["result"], each)]
            need(sent, f"I3 {work.id} was accepted with {row['result']}, which nobody sent")
            work.result = sent[0]
            digest = work.result.get("state_digest")
            if work.client and digest:
                work.job.personal[work.client] = digest
        self.reference.accepted = []

    def _published(self) -> None:
        """I6 and I5: each new version is the one that the reference computes, and is there."""
        for job, number in self.reference.published:
            query = (
                "SELECT component, sha256 FROM version_components "
                "WHERE job_id = %s AND version = %s"
            )
            [rows] = self.arena.query((query, [job.id, number]))
            manifest = {row["component"]: row["sha256"] for row in rows}
            need(manifest == job.versions[number], f"I6 version {number} of {job.id}: {manifest}")
            store = self.arena.coordinators[0].store
            lost = [sha for sha in manifest.values() if not store.has(sha)]
            need(not lost, f"I5 version {number} of {job.id} lacks {lost}")
            self.figures.checks["versions"] += 1
        self.reference.published = []

    def _compare_jobs(self, jobs: list[dict[str, Any]], rounds: list[dict[str, Any]]) -> None:
        need(len(jobs) == len(self.reference.jobs), f"I9 {len(jobs)} jobs")
        for row in jobs:
            job = self.reference.jobs[str(row["id"])]
            need(row["state"] == job.state, f"I9 job {job.id} is {row['state']}, not {job.state}")
        for row in rounds:
            mine = self.reference.rounds[str(row["id"])]
            need(row["state"] == mine.state, f"I9 round {mine.id} is {row['state']}")
            need(row["deadline_at"] == mine.deadline, f"round {mine.id}: {row['deadline_at']}")
            need(row["extensions"] == mine.extensions, f"round {mine.id}: {row['extensions']}")
            if row["quorum_at"] != mine.quorum_at:
                need(mine.quorum_at is None, f"round {mine.id}: its quorum came {row['quorum_at']}")
                need(mine.accepted >= mine.quorum, f"round {mine.id} has no quorum")
                mine.quorum_at = row["quorum_at"]

    def _compare_work(self, mine: Work, row: dict[str, Any]) -> None:
        where = f"assignment {mine.id} of {mine.client}"
        need(row["state"] == mine.state, f"I9 {where} is {row['state']}, not {mine.state}")
        need(row["attempt"] == mine.attempt, f"I2 {where} is in attempt {row['attempt']}")
        need(row["released"] == mine.released, f"{where} was released {row['released']} times")
        held = mine.state in ASSIGNMENT_HELD
        if held and mine.lease_id and not self.faulted:
            need(row["lease_id"] == mine.lease_id, f"I2 {where} has lease {row['lease_id']}")
            need(row["lease_until"] == mine.lease_until, f"{where} until {row['lease_until']}")
        mine.lease_id, mine.lease_until = row["lease_id"], row["lease_until"]
        mine.not_before = row["not_before"]

    def _compare_states(self, rows: list[dict[str, Any]]) -> None:
        """I8: the personal state of the last accepted assignment; and what a fork's parent had."""
        mine = {(j.id, c): s for j in self.reference.jobs.values() for c, s in j.personal.items()}
        theirs = {(str(r["job_id"]), r["client_id"]): r["state_digest"] for r in rows}
        need({k: v for k, v in theirs.items() if v} == mine, f"I8 {theirs} is not {mine}")
        mine = {(j.id, c): s for j in self.reference.jobs.values() for c, s in j.inherited.items()}
        theirs = {(str(r["job_id"]), r["client_id"]): r["parent_state_digest"] for r in rows}
        need({k: v for k, v in theirs.items() if v} == mine, f"I8 parents: {theirs}, not {mine}")

    def _compare_counts(self, row: dict[str, Any]) -> None:
        works = self.reference.work.values()
        shares = sum(
            len((w.result or {}).get("components", ()))
            for w in works
            if w.client and w.state is AssignmentState.ACCEPTED
        )
        need(row["contributions"] == shares, f"I3 {row['contributions']} shares, not {shares}")
        attempts = sum(work.attempt for work in works)
        need(row["attempts"] == attempts, f"I2 {row['attempts']} attempts, not {attempts}")


def _as_sent(stored: dict[str, Any], sent: dict[str, Any]) -> bool:
    return all(stored.get(name) == value for name, value in sent.items())


def chosen(pick: int, among: Sequence[T]) -> T | None:
    """One of them, the newest for 0; None of nothing."""
    return among[-1 - pick % len(among)] if among else None
