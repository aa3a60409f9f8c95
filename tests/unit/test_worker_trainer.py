"""What an attempt makes of a training process that dies, runs out of memory, or must stop."""

import errno
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pytest

from shared.artifacts import ArtifactStore
from shared.messages import (
    AssignmentKind,
    Claim,
    Failure,
    FailureCode,
    HeartbeatReply,
    Instruction,
    Lease,
)
from shared.results import PersonalizeResult
from shared.transport import ApiError
from shared.views import Problem
from tests.support import small
from worker.attempt import Attempt, Member
from worker.failures import FailedError
from worker.journal import Entry
from worker.supervision import Handle, Report, Supervisor
from worker.trainer_process import MODULES, TrainerProcess
from worker.work import Computed, Request
from worker.workplace import Workplace

pytestmark = [pytest.mark.unit, pytest.mark.timeout(120)]

Way = Literal["large", "never fits", "dies once", "dies", "endless", "unexpected"]
BATCH = small.spec().training.batch_size
LEASE = Lease(id=UUID(int=1), attempt=1, seconds=0.3)
CLAIM = Claim(
    assignment_id=UUID(int=2),
    kind=AssignmentKind.PERSONALIZE,
    job_id=UUID(int=3),
    spec=small.spec(),
    lease=LEASE,
    round=1,
    components=("proj",),
)


def build(way: Way, log: Path) -> Handle:
    """Does its work in one of several ways; each start is a line of the log."""

    def handle(request: Request, report: Report) -> Computed:
        with log.open("a") as file:
            file.write(f"{os.getpid()} {request.samples_at_once}\n")
        most = request.samples_at_once
        result = PersonalizeResult(
            lease_id=LEASE.id, attempt=LEASE.attempt, losses={}, samples_at_once=most
        )
        match way:
            case "large" if most is None or most > 2:
                raise FailedError(FailureCode.OUT_OF_MEMORY, "2 GiB are too many")
            case "never fits":
                raise FailedError(FailureCode.OUT_OF_MEMORY, "2 GiB are too many")
            case "dies once" if len(starts(log)) == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            case "dies":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "endless":
                while not log.with_name("enough").exists():
                    report(0.5)
                    time.sleep(0.01)
            case "unexpected":
                raise KeyError("a private value")
        return Computed(result)

    return handle


def starts(log: Path) -> list[list[str]]:
    return [line.split() for line in log.read_text().splitlines()]


def problem(status: int) -> Problem:
    return Problem(type="urn:x", title="x", status=status, code="x", detail="no", errors=())


@dataclass
class Server:
    """Stands for the API: notes what it is told."""

    instruction: Instruction = Instruction.CONTINUE
    beats: int = 0
    refusals: list[int] = field(default_factory=list)  # statuses of the first heartbeats
    told: list[Any] = field(default_factory=list)

    def heartbeat(self, *_: object) -> HeartbeatReply:
        self.beats += 1
        if self.refusals:
            raise ApiError(problem(self.refusals.pop(0)))
        return HeartbeatReply(instruction=self.instruction, lease_seconds=LEASE.seconds)

    def download(self, sizes: dict[str, int], keep: Callable[[str, Iterator[bytes]], None]) -> None:
        for sha in sizes:
            keep(sha, iter([b"abc"]))

    def result(self, _: UUID, result: PersonalizeResult) -> None:
        self.told.append(result)

    def failure(self, _: UUID, failure: Failure) -> None:
        self.told.append(failure)

    def release(self, _: object) -> None:
        self.told.append("released")


@dataclass
class Bench:
    """A client's attempts with a training process of a certain way."""

    root: Path
    server: Server = field(default_factory=Server)
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def place(self) -> Workplace:
        return Workplace("c01", ArtifactStore(self.root / "cache", durable=False), self.root)

    @property
    def starts(self) -> list[list[str]]:
        return starts(self.root / "starts")

    def run(self, way: Way, claim: Claim = CLAIM) -> Any:
        """Do the assignment; returns what the server was told."""
        supervisor = Supervisor(partial(build, way, self.root / "starts"), modules=MODULES)
        trainer = TrainerProcess(supervisor)
        api: Any = self.server
        entry = self.place.journal.read() or Entry.of(claim)
        try:
            assert Attempt(Member(api, self.place), entry, claim, trainer, self.stopping).run()
        finally:
            trainer.kill()
        assert self.place.journal.read() is None
        return self.server.told[-1] if self.server.told else None


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_what_is_too_large_is_done_with_fewer_samples_at_once(bench: Bench) -> None:
    result = bench.run("large")
    assert result.samples_at_once == 2
    assert [most for _, most in bench.starts] == ["None", "4", "2"]
    assert len({pid for pid, _ in bench.starts}) == 3, "each time with its memory whole"


def test_what_never_fits_fails_with_its_class(bench: Bench) -> None:
    failure = bench.run("never fits")
    assert failure.code is FailureCode.OUT_OF_MEMORY
    assert "use a machine with more" in failure.message
    assert [most for _, most in bench.starts] == ["None", "4", "2", "1"]


def test_a_batch_of_one_sample_is_not_all_that_goes_at_once(bench: Bench) -> None:
    spec = small.spec(training={**small.SPEC["training"], "batch_size": 1})
    claim = CLAIM.model_copy(update={"spec": spec})
    assert bench.run("large", claim).samples_at_once == 1
    assert bench.run("never fits", claim).code is FailureCode.OUT_OF_MEMORY
    assert [most for _, most in bench.starts] == ["None", "1"] * 2


def test_a_trainer_that_dies_is_begun_again(bench: Bench) -> None:
    assert bench.run("dies once").samples_at_once is None
    assert len(bench.starts) == 2


def test_an_assignment_that_always_kills_its_trainer_fails_and_says_how(bench: Bench) -> None:
    failure = bench.run("dies")
    assert failure.code is FailureCode.INTERNAL
    assert "begun 3 times" in failure.message
    assert "killed by SIGSEGV" in failure.message
    assert len(bench.starts) == 3


def test_a_restarted_worker_goes_on_with_as_few_samples_as_before(bench: Bench) -> None:
    smaller = Entry.of(CLAIM).halved(BATCH)
    assert smaller is not None
    bench.place.journal.write(smaller.begun_again())
    assert bench.run("dies once").samples_at_once == BATCH // 2


def test_an_unexpected_error_quotes_nothing(bench: Bench) -> None:
    failure = bench.run("unexpected")
    assert failure.message == "unexpected KeyError: see this worker's log"


@pytest.mark.parametrize("instruction", [Instruction.CANCEL, Instruction.STALE])
def test_a_heartbeat_that_says_so_ends_the_training(bench: Bench, instruction: Instruction) -> None:
    bench.server.instruction = instruction
    assert bench.run("endless") is None
    assert bench.server.beats == 1, "nobody listens after that"


@pytest.mark.parametrize("status", [404, 409])
def test_a_heartbeat_of_an_unknown_assignment_ends_the_training(
    bench: Bench, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    bench.server.refusals = [status]
    assert bench.run("endless") is None
    assert bench.server.beats == 1
    assert "given up: the coordinator does not know it as ours (no)" in caplog.text


def test_training_goes_on_while_the_coordinator_is_away(bench: Bench) -> None:
    class Back(Server):
        def heartbeat(self, *_: object) -> HeartbeatReply:
            reply = super().heartbeat()
            (bench.root / "enough").touch()
            return reply

    bench.server = Back(refusals=[0, 503, 0, 0, 500])
    result = bench.run("endless")
    assert bench.server.beats > 5, "it came back before the training ended"
    assert bench.server.told == [result]
    assert (result.lease_id, result.attempt) == (LEASE.id, LEASE.attempt)
    assert len(bench.starts) == 1


@pytest.mark.parametrize(
    ("number", "sentence"),
    [(errno.EIO, "check it, then restart"), (errno.ENOSPC, "is full: free some space")],
)
def test_a_disk_that_takes_no_bytes_of_the_worker(bench: Bench, number: int, sentence: str) -> None:
    class Fetched(Server):
        def download(self, *_: object) -> None:
            raise OSError(number, os.strerror(number))

    bench.server = Fetched()
    claim = CLAIM.model_copy(update={"manifest": {"proj": "a" * 64}, "sizes": {"proj": 3}})
    assert sentence in bench.run("endless", claim).message


def test_a_stop_ends_the_training_and_gives_the_assignment_back(bench: Bench) -> None:
    threading.Timer(0.5, bench.stopping.set).start()
    assert bench.run("endless") == "released"


def test_a_stop_ends_a_download(bench: Bench) -> None:
    class Endless(Server):
        def download(
            self, sizes: dict[str, int], keep: Callable[[str, Iterator[bytes]], None]
        ) -> None:
            def chunks() -> Iterator[bytes]:
                bench.stopping.set()
                while True:
                    yield b"abc"

            keep(next(iter(sizes)), chunks())

    bench.server = Endless()
    claim = CLAIM.model_copy(update={"manifest": {"proj": "a" * 64}, "sizes": {"proj": 1 << 40}})
    assert bench.run("endless", claim) == "released"
    assert list((bench.root / "cache" / "parts").iterdir()) == []


def test_bytes_that_arrive_damaged_are_fetched_again_once(bench: Bench) -> None:
    sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of abc
    claim = CLAIM.model_copy(update={"manifest": {"proj": sha}, "sizes": {"proj": 3}})
    fetched = []

    class Damaging(Server):
        def download(
            self, sizes: dict[str, int], keep: Callable[[str, Iterator[bytes]], None]
        ) -> None:
            fetched.append(sizes)
            keep(next(iter(sizes)), iter([b"abc" if len(fetched) == 2 else b"abX"]))

    bench.server = Damaging()
    assert isinstance(bench.run("dies once", claim), PersonalizeResult)
    assert fetched == [{sha: 3}] * 2
