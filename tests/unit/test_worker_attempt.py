"""What becomes of a computed assignment when the worker stops, or the server is away or refuses."""

import errno
import threading
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared import logs
from shared.api_client import ApiClient
from shared.artifacts import ArtifactStore
from shared.messages import AssignmentKind, Claim, HeldAssignment, Lease, UploadView
from shared.results import EvaluateResult, TrainResult
from shared.transport import ApiError
from shared.views import Problem
from tests.support import small
from tests.support.patience import wait_for
from worker.attempt import Attempt, Member
from worker.host import Host
from worker.journal import Entry, Journal, Stage
from worker.personal_files import PersonalFiles
from worker.supervision import Limits
from worker.trainer_process import TrainerProcess
from worker.watching import ENDS, METERS
from worker.work import Equipment
from worker.workplace import Workplace

pytestmark = pytest.mark.unit

LEASE = Lease(id=UUID(int=1), attempt=1, seconds=60)
HELD = HeldAssignment(assignment_id=UUID(int=2), lease_id=LEASE.id, attempt=LEASE.attempt)
CLAIM = Claim(
    assignment_id=HELD.assignment_id,
    kind=AssignmentKind.TRAIN,
    job_id=UUID(int=3),
    spec=small.spec(),
    lease=LEASE,
    round=1,
    components=("proj",),
)


class Server:
    """Stands for the API: notes what it is asked, and refuses one thing with a status."""

    def __init__(self, refused: str = "", status: int = 0, times: int = 1000) -> None:
        self.asked: list[str] = []
        self.claimed: Claim | None = None
        self._refused = refused
        self._status = status
        self._times = times

    def __getattr__(self, name: str) -> Any:
        def answer(*_: object) -> Any:
            self.asked.append(name)
            if self._refused in {name, "everything"} and self._times > 0:
                self._times -= 1
                raise ApiError(problem(self._status))
            if name == "claim":
                claimed, self.claimed = self.claimed, None
                return claimed
            return UploadView(id=uuid4(), components=("proj",), offset=0, n_bytes=3, complete=False)

        return answer


def problem(status: int) -> Problem:
    return Problem(type="urn:x", title="x", status=status, code="x", detail="no", errors=())


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace("c01", ArtifactStore(tmp_path / "cache", durable=False), tmp_path)


def trained(place: Workplace) -> Entry:
    lease = {"lease_id": LEASE.id, "attempt": LEASE.attempt}
    result = TrainResult(**lease, components={"proj": place.cache.write([b"abc"])}, losses={})
    return Entry(held=HELD, job_id=CLAIM.job_id, stage=Stage.TRAINED, result=result)


def trainer() -> TrainerProcess:
    """One that nothing is asked of."""
    return TrainerProcess.of(Equipment({}), Limits())


def run(server: Any, place: Workplace, entry: Entry, *, stopping: bool = False) -> bool:
    stop = threading.Event()
    if stopping:
        stop.set()
    return Attempt(Member(server, place), entry, CLAIM, trainer(), stop).run()


def resume(server: Server, place: Workplace) -> None:
    api: ApiClient = server  # type: ignore[assignment]  # it stands for it
    Host({"c01": Member(api, place)}, trainer()).work("c01")


def test_what_is_computed_is_delivered_even_when_the_worker_stops(place: Workplace) -> None:
    server = Server()
    assert run(server, place, trained(place), stopping=True)
    assert server.asked == ["announce", "upload", "result"]
    assert place.journal.read() is None


def test_what_is_not_computed_is_given_back_when_the_worker_stops(place: Workplace) -> None:
    server = Server()
    assert run(server, place, Entry.of(CLAIM), stopping=True)
    assert server.asked == ["release"]
    assert place.journal.read() is None


@pytest.mark.parametrize(
    ("refused", "stage"),
    [("announce", Stage.TRAINED), ("upload", Stage.TRAINED), ("result", Stage.UPLOADED)],
)
@pytest.mark.parametrize("status", [0, 401, 429, 500, 503, 507])
def test_what_cannot_be_delivered_now_waits_in_the_journal(
    place: Workplace, refused: str, stage: Stage, status: int
) -> None:
    assert not run(Server(refused, status), place, trained(place))
    entry = place.journal.read()
    assert entry is not None
    assert entry.stage is stage
    server = Server()
    server.claimed = CLAIM if stage is Stage.TRAINED else None
    resume(server, place)
    assert "result" in server.asked
    assert place.journal.read() is None


def test_bytes_that_are_refused_are_sent_once_more(place: Workplace) -> None:
    server = Server("upload", 422, times=1)
    assert run(server, place, trained(place))
    assert server.asked == ["announce", "upload", "announce", "upload", "result"]


def test_bytes_that_are_refused_twice_are_not_sent_again(place: Workplace) -> None:
    server = Server("upload", 422)
    assert run(server, place, trained(place))
    assert server.asked == ["announce", "upload", "announce", "upload", "failure"]
    assert place.journal.read() is None


@pytest.mark.parametrize("refused", ["announce", "result", "upload"])
@pytest.mark.parametrize("status", [404, 409])
def test_what_the_server_refuses_is_dropped(place: Workplace, refused: str, status: int) -> None:
    server = Server(refused, status)
    assert run(server, place, trained(place))
    assert server.asked[-1] == "failure"
    assert place.journal.read() is None


@pytest.mark.parametrize("status", [404, 409])
@pytest.mark.parametrize("stopping", [False, True])
def test_an_assignment_that_the_server_does_not_know_is_dropped_and_the_log_says_so(
    place: Workplace, caplog: pytest.LogCaptureFixture, status: int, *, stopping: bool
) -> None:
    server = Server("everything", status)
    entry = Entry.of(CLAIM) if stopping else trained(place)
    assert run(server, place, entry, stopping=stopping)
    assert server.asked == (["release"] if stopping else ["announce", "failure"])
    assert place.journal.read() is None
    assert "the coordinator does not want it from here: it is dropped" in caplog.text


def test_an_assignment_that_never_ends_is_a_failure_in_the_end(place: Workplace) -> None:
    entry = Entry.of(CLAIM).begun_again().begun_again().begun_again()
    server = Server()
    assert run(server, place, entry)
    assert server.asked == ["failure"]


@pytest.mark.parametrize("starts", [1, 3])
def test_what_did_not_come_does_not_count_as_begun(place: Workplace, starts: int) -> None:
    entry = Entry(held=HELD, job_id=CLAIM.job_id, starts=starts)
    server = Server("download", 503)
    for _ in range(5):
        assert not run(server, place, entry)
        kept = place.journal.read()
        assert kept is not None
        assert kept.starts == starts - 1
        entry = kept.begun_again()
    assert "failure" not in server.asked


def test_a_claim_that_may_have_been_answered_is_sent_again_under_its_name(
    place: Workplace,
) -> None:
    names: list[UUID] = []

    class Deaf(Server):
        def claim(self, _: HeldAssignment | None, lease_id: UUID) -> None:
            names.append(lease_id)
            raise ApiError(problem(0))

    for _ in range(2):
        resume(Deaf(), place)
    place.drop()
    resume(Deaf(), place)
    assert names[0] == names[1] != names[2]


def test_who_waits_for_another_s_work_says_that_it_is_there(place: Workplace) -> None:
    waiting, works = Server(), threading.Event()

    class Working(Server):
        def claim(self, *_: object) -> None:
            works.set()
            wait_for(lambda: "whoami" in waiting.asked)

    at_work = Working()
    members = {
        name: Member(api, place)  # type: ignore[arg-type]  # they stand for it
        for name, api in {"c01": at_work, "c02": waiting}.items()
    }
    host = Host(members, trainer())
    presence = threading.Thread(target=host.show_presence, args=(0.01,))
    presence.start()
    host.work("c01")
    host.stopping.set()
    presence.join()
    assert works.is_set()
    assert at_work.asked == []


def test_what_is_no_longer_wanted_is_dropped(place: Workplace) -> None:
    place.journal.write(trained(place))
    server = Server()
    resume(server, place)
    assert server.asked == ["claim"]
    assert place.journal.read() is None


def test_what_was_accepted_unheard_is_only_reported_again(place: Workplace) -> None:
    lease = {"lease_id": LEASE.id, "attempt": LEASE.attempt}
    result = EvaluateResult(**lease, scores={})
    place.journal.write(Entry(held=HELD, job_id=CLAIM.job_id, stage=Stage.UPLOADED, result=result))
    server = Server()
    resume(server, place)
    assert server.asked == ["result", "claim"]


def disk_fails_once(monkeypatch: pytest.MonkeyPatch, kind: type, method: str, number: int) -> None:
    """The nth call of that method, counted from 1, meets a disk that fails."""
    calls, real = count(1), getattr(kind, method)

    def call(*arguments: object) -> object:
        if next(calls) == number:
            raise OSError(errno.EIO, "Input/output error")
        return real(*arguments)

    monkeypatch.setattr(kind, method, call)


@pytest.mark.parametrize(
    ("kind", "method", "number"),
    [
        (Journal, "write", 3),  # that it is accepted
        (PersonalFiles, "promote", 1),
        (Journal, "clear", 1),
    ],
)
def test_what_is_accepted_is_promoted_though_the_disk_fails_behind_the_report(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, kind: type, method: str, number: int
) -> None:
    promoted: list[str] = []
    monkeypatch.setattr(PersonalFiles, "promote", lambda _, digest: promoted.append(digest))
    entry = trained(place)
    state = "a" * 64
    entry = entry.model_copy(
        update={"result": entry.outcome.model_copy(update={"state_digest": state})}
    )
    disk_fails_once(monkeypatch, kind, method, number)
    server = Server()
    assert not run(server, place, entry)
    assert "failure" not in server.asked
    assert place.journal.read() is not None
    resume(server, place)
    assert set(promoted) == {state}
    assert place.journal.read() is None
    assert "failure" not in server.asked


def test_a_disk_that_fails_before_the_report_is_a_failure(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk_fails_once(monkeypatch, Journal, "write", 2)  # that it is uploaded
    server = Server()
    assert run(server, place, trained(place))
    assert server.asked == ["announce", "upload", "failure"]


@pytest.mark.parametrize(
    ("server", "stage", "stopping", "end"),
    [
        (Server(), Stage.TRAINED, False, "done"),
        (Server(), Stage.CLAIMED, True, "given_back"),
        (Server("result", 503), Stage.TRAINED, False, "kept"),
        (Server("result", 409), Stage.TRAINED, False, "failed"),
    ],
)
def test_what_an_attempt_ends_with_is_counted(
    place: Workplace, server: Server, stage: Stage, *, stopping: bool, end: str
) -> None:
    def count_of(name: str) -> float:
        labels = {"kind": "train", "end": name}
        return METERS.registry.get_sample_value("tapestry_worker_assignments_total", labels) or 0

    before = {name: count_of(name) for name in ENDS}
    entry = trained(place) if stage is Stage.TRAINED else Entry.of(CLAIM)
    run(server, place, entry, stopping=stopping)
    assert {name for name in ENDS if count_of(name) > before[name]} == {end}


def test_the_lines_of_an_attempt_say_what_they_are_about(
    place: Workplace, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[dict[str, object]] = []
    with caplog.at_level("INFO", "tapestry.worker"):
        caplog.handler.addFilter(lambda _: heard.append(logs.current()) or True)  # type: ignore[func-returns-value]
        run(Server(), place, trained(place))
    caplog.handler.filters.clear()
    assert len(heard) == 2
    expected = {"job": CLAIM.job_id, "round": 1, "kind": "train", "attempt": 1}
    assert all(about == {**expected, "assignment": HELD.assignment_id} for about in heard)
