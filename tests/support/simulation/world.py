"""The loop of events: time, processes and messages of one episode."""

from collections import Counter, deque
from collections.abc import Callable
from hashlib import blake2b
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

from tests.support.simulation.api import answer
from tests.support.simulation.check import Checker
from tests.support.simulation.client import Client, Disk
from tests.support.simulation.coordinator import Coordinator, TroubleError
from tests.support.simulation.network import Network, Weather
from tests.support.simulation.process import Address, Call, Process, Task
from tests.support.simulation.rows import AWAY, OK, UNHEARD, Job, Reply, Request
from tests.support.simulation.store import LEASE_S, Store

_TRIES = 3
_MOST_AT_ONCE = 5000
_KEPT = 30  # events that are shown after a violation
REDIS = "redis"
APIS = ("api-1", "api-2")
COORDINATORS = ("coordinator-1", "coordinator-2")


class World:
    """One episode's processes, and what lies ahead of them."""

    def __init__(self, rng: Random, clients: list[str]) -> None:
        self.rng = rng
        self.now = 0.0
        self.faults: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.check = Checker(LEASE_S)
        self.store = Store(self.check)
        self.network = Network(rng, Weather.drawn(rng), self.faults)
        self.digest = blake2b(digest_size=16)
        self.last: deque[str] = deque(maxlen=_KEPT)
        self.database_back = 0.0  # when Postgres is there again
        self.unanswered = 0.0  # how often a commit is not answered
        self.disks: dict[str, Disk] = {}
        self.processes: dict[str, Process] = {}
        self.client_names: tuple[str | None, ...] = (None, *clients)
        self.fails = rng.choice((0.0, 0.05, 0.2))
        self.disk_trouble = rng.choice((0.0, 0.0, 0.1))
        self._heap: list[tuple[float, int, str, str, Any]] = []
        self._numbers = count()
        self._still = 0  # events since time last passed
        for client in self.client_names:
            self.store.open[client] = []
            self.start(client or "planner")
        for name in (*APIS, *COORDINATORS):
            self.start(name)

    # processes

    def start(self, name: str) -> None:
        """A new process of that name, on the old one's disk."""
        old = self.processes.get(name)
        if old is not None and old.alive:
            return
        process, work = self._made(name)
        process.rate = 0.95 + 0.1 * self.rng.random()
        process.offset = self.rng.random() * 1000.0
        self.processes[name] = process
        for each in work:
            process.thread = Task(each)
            self._sleep(process, process.thread, 0.0)

    def _made(self, name: str) -> tuple[Process, list[Any]]:
        if name in APIS:
            return Process(name), []
        if name in COORDINATORS:
            coordinator = Coordinator(name, self.store, self.rng)
            coordinator.disk_trouble = self.disk_trouble
            return coordinator, coordinator.loops()
        disk = self.disks.setdefault(name, Disk())
        client = Client(None if name == "planner" else name, disk, self.rng, self.check)
        client.fails = self.fails
        return client, [client.main()]

    def jump(self, process: Process, by: float) -> None:
        """Set a process's own clock; timers that are due by it end at once."""
        process.offset += by
        clock = process.clock(self.now)
        for token, (due, _) in process.timers.items():
            if due <= clock:
                self._push(0.0, "resume", process.name, token)

    # time

    def at(self, delay: float, fault: Callable[[], str]) -> None:
        """Have something happen to the world; it says what it was."""
        self._push(delay, "fault", "", fault)

    def _push(self, delay: float, kind: str, who: str, what: Any) -> None:
        heappush(self._heap, (self.now + delay, next(self._numbers), kind, who, what))

    def _sleep(self, process: Process, task: Task, seconds: float) -> int:
        token = next(self._numbers)
        process.timers[token] = (process.clock(self.now) + seconds, task)
        self._push(seconds / process.rate, "resume", process.name, token)
        return token

    def step(self) -> None:
        """The next event, and what must hold behind it. Raises ViolationError."""
        before = self.now
        self.now, _, kind, who, what = heappop(self._heap)
        self._still = self._still + 1 if self.now == before else 0
        self.check.require("hang", self._still < _MOST_AT_ONCE, "work goes round and round")
        self.store.tick(self.now)
        if kind == "fault":
            self._happened("fault", "", what())
        else:
            self._to(self.processes[who], kind, what)
        if self.store.outbox:
            self._dispatch()
        if self.store.touched_jobs or self.store.touched:
            self.store.settle()

    def _to(self, process: Process, kind: str, what: Any) -> None:
        if not process.alive:
            return
        if process.frozen_until > self.now:
            self._push(process.frozen_until - self.now, kind, process.name, what)
            return
        match kind:
            case "resume":
                self._resume(process, what)
            case "request":
                self._request(process, *what)
            case "reply":
                self._reply(process, *what)
            case "timeout":
                self._timeout(process, *what)
            case _:
                self._hint(process, what)

    def _happened(self, kind: str, who: str, what: str) -> None:
        """Count an event, and add it to the trace."""
        self.events[kind] += 1
        line = f"{self.now:.6f} {kind} {who} {what}"
        self.last.append(line)
        self.digest.update(line.encode())

    # what processes do

    def _resume(self, process: Process, token: int) -> None:
        due, task = process.timers.get(token, (0.0, None))
        if task is None:
            return
        early = due - process.clock(self.now)
        if early > 1e-6:
            self._push(early / process.rate, "resume", process.name, token)
            return
        del process.timers[token]
        self._happened(_kind(process, task), process.name, "")
        self._run(process, task, None)

    def _run(self, process: Process, task: Task, value: Reply | None) -> None:
        """Let a task do its next step, which is one transaction at most."""
        try:
            wanted = self._next(process, task, value)
        except StopIteration as end:
            self._ended(process, task, end.value)
        except TroubleError:
            self._ended(process, task, Reply(AWAY))
        else:
            if isinstance(wanted, Request):
                self._call(process, task, wanted)
            else:
                self._sleep(process, task, wanted)
        if isinstance(process, Client) and process.starting:
            beats, process.starting = process.starting, []
            for beat in beats:
                self._run(process, Task(beat), None)

    def _next(self, process: Process, task: Task, value: Reply | None) -> float | Request:
        """What the task wants after its step; the database may be away before or after it."""
        away = not isinstance(process, Client) and self.database_back > self.now
        if task.begun and (task.broken or away):
            task.broken = False
            return task.work.throw(TroubleError())
        task.begun = True
        try:
            wanted = task.work.send(value)
        except StopIteration:
            if task.answers and (away or self._unanswered()):
                raise TroubleError from None
            raise
        task.broken = not isinstance(process, Client) and self._unanswered()
        return wanted

    def _unanswered(self) -> bool:
        """Whether this commit is done, and its process does not hear so."""
        if self.unanswered and self.rng.random() < self.unanswered:
            self.faults["commit not answered"] += 1
            return True
        return False

    def _ended(self, process: Process, task: Task, value: object) -> None:
        if task.answers is not None and isinstance(value, Reply):
            self._send(process.name, task.answers[0], "reply", (task.answers[1], value))

    def _dispatch(self) -> None:
        """Send the hints of a transaction that is committed."""
        for task, client, job in self.store.outbox:
            if task == "wake":
                self._send(REDIS, client or "planner", "hint", None)
            else:
                self._send(REDIS, self.rng.choice(COORDINATORS), "hint", job)
        self.store.outbox.clear()

    # messages

    def _send(self, source: str, target: str, kind: str, what: Any) -> None:
        for delay in self.network.delays(source, target):
            self._push(delay, kind, target, what)

    def _call(self, process: Process, task: Task, request: Request) -> None:
        number = next(self._numbers)
        process.calls[number] = call = Call(task, request)
        self._try(process, number, call)

    def _try(self, process: Process, number: int, call: Call) -> None:
        call.tries += 1
        api = self.rng.choice(APIS)
        self._send(process.name, api, "request", (call.request, (process.name, number)))
        wait = 5.0 + 15.0 * self.rng.random()
        self._push(wait, "timeout", process.name, (number, call.tries))

    def _request(self, api: Process, request: Request, sender: Address) -> None:
        self._happened("request", api.name, f"{request.what} {sender[0]}")
        if self.database_back > self.now:
            self._send(api.name, sender[0], "reply", (sender[1], Reply(AWAY)))
            return
        self._run(api, Task(answer(self.store, self.rng, request), sender), None)

    def _reply(self, process: Process, number: int, reply: Reply) -> None:
        call = process.calls.get(number)
        self._happened("reply" if call else "reply too late", process.name, str(reply.status))
        if call is None:
            return
        if reply.status == AWAY and call.tries < _TRIES:
            self._push(2.0, "timeout", process.name, (number, call.tries))
            return
        request = call.request
        if request.what == "result" and reply.status == OK and request.held and request.result:
            self.check.told_accepted(self.store.rows[request.held.assignment_id], request.result)
        del process.calls[number]
        self._run(process, call.task, reply)

    def _timeout(self, process: Process, number: int, tries: int) -> None:
        call = process.calls.get(number)
        if call is None or call.tries != tries:
            return
        self._happened("timeout", process.name, call.request.what)
        if tries < _TRIES:
            self._try(process, number, call)
            return
        del process.calls[number]
        self._run(process, call.task, Reply(UNHEARD))

    def _hint(self, process: Process, job: Job | None) -> None:
        self._happened("hint", process.name, "" if job is None else job.name)
        if isinstance(process, Coordinator) and job is not None:
            self._run(process, Task(process.advance(job)), None)
        elif isinstance(process, Client):
            process.hinted = True
            if process.idle:
                self._wake(process)

    def _wake(self, process: Client) -> None:
        """End the poll's pause of an idle worker."""
        for token, (_, task) in process.timers.items():
            if task is process.thread:
                process.timers[token] = (process.clock(self.now), task)
                self._push(0.0, "resume", process.name, token)

    @property
    def done(self) -> bool:
        """Whether all jobs have ended."""
        return self.store.n_ended == len(self.store.jobs)


def _kind(process: Process, task: Task) -> str:
    if isinstance(process, Client):
        return "worker's step"
    return "coordinator's step" if task.answers is None else "API's transaction"
