"""What people see while jobs run."""

import io
import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console

from cli.progress import Progress, Watcher, follow, lineage, sentence, table
from shared.api_client import ApiClient
from shared.messages import AssignmentKind
from shared.results import Decision, TaskLosses
from shared.sizes import size
from shared.states import AssignmentState, JobState, RoundState
from shared.views import (
    AssignmentView,
    ForkOrigin,
    ForkRow,
    JobDetail,
    JobView,
    RoundDetail,
    RoundView,
)

pytestmark = pytest.mark.unit
NOW = datetime(2026, 1, 1, tzinfo=UTC)


ORIGIN = ForkOrigin(job=uuid.UUID(int=1), round=1)
FORKS = (ForkRow(id=uuid.UUID(int=2), name="again", round=2),)


def made_job(
    algorithm: str = "tap",
    state: JobState = JobState.RUNNING,
    forked_from: ForkOrigin | None = None,
) -> JobView:
    return JobView(
        forked_from=forked_from,
        id=uuid.uuid4(),
        name=f"demo {algorithm}",
        algorithm=algorithm,
        state=state,
        round=2,
        rounds=5,
        clients=("a", "b"),
        created_at=NOW,
        updated_at=NOW,
    )


def part(client: str, state: AssignmentState, losses: tuple[float, float] | None) -> AssignmentView:
    decision = Decision(task="t", engaged_loss=1, personal_loss=2, margin=0, replaced=True)
    return AssignmentView(
        id=uuid.uuid4(),
        client=client,
        kind=AssignmentKind.TRAIN,
        state=state,
        attempt=1,
        progress=0.25,
        losses={"t": TaskLosses(engaged=losses[0], personal=losses[1])} if losses else {},
        decisions=(decision,) if losses else (),
    )


def round_(number: int, *parts: AssignmentView) -> RoundView:
    return RoundView(
        number=number,
        state=RoundState.OPEN,
        opened_at=NOW,
        deadline_at=NOW,
        closed_at=None,
        version=None,
        bytes_down=1000,
        bytes_up=500,
        bytes_full_exchange=9000,
        assignments=parts,
    )


@pytest.fixture
def progress() -> Progress:
    accepted, leased = AssignmentState.ACCEPTED, AssignmentState.LEASED
    first = round_(1, part("a", accepted, (1.0, 3.0)), part("b", accepted, (2.0, 5.0)))
    second = round_(2, part("a", accepted, (0.5, 2.0)), part("b", leased, None))
    return Progress(made_job(), (first, second))


def test_a_line_counts_bytes_replacements_and_the_last_losses(progress: Progress) -> None:
    assert sentence(progress) == (
        "demo tap: running, round 2 of 5, 3 replacements, 3.0 kB sent, "
        "engaged loss 1.250, personal loss 3.500"
    )


def test_a_job_without_rounds_has_a_line() -> None:
    assert (
        sentence(Progress(made_job("local"), ())) == "demo local: running, round 2 of 5, 0 B sent"
    )


def test_the_table_shows_each_client_in_each_job(progress: Progress) -> None:
    console = Console(width=140, file=io.StringIO(), record=True)
    console.print(table([progress, Progress(made_job("fedavg"), ())], 12.0))
    lines = console.export_text().splitlines()
    (a,) = (line for line in lines if line.startswith("a "))
    (b,) = (line for line in lines if line.startswith("b "))
    assert a.split() == ["a", "accepted", "0.50/2.00"]
    assert b.split() == ["b", "train", "25%", "2.00/5.00"]


def test_a_fork_names_its_parent_and_its_own_forks(progress: Progress) -> None:
    parent = replace(progress, forks=FORKS)
    assert lineage(progress) == ""
    assert lineage(parent) == f"its forks: again ({FORKS[0].id}, round 2)"
    fork = replace(parent, job=made_job(forked_from=ORIGIN))
    assert lineage(fork) == f"forked from {ORIGIN.job}, round 1; {lineage(parent)}"
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(table([progress, fork], 12.0))
    assert f"demo tap: {lineage(fork)}\n" in console.export_text()


def test_a_round_that_asks_other_clients_hides_nobody(progress: Progress) -> None:
    assert progress.part("nobody") is None
    assert progress.losses("nobody") == {}


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2.5e6, "2.5 MB"), (3.2e9, "3.20 GB")],
)
def test_sizes_are_for_people(n_bytes: float, text: str) -> None:
    assert size(n_bytes) == text


class ScriptedApi(ApiClient):
    """Answers from two lists and counts the questions."""

    def __init__(self, forked_round: int | None = None, state: JobState = JobState.RUNNING) -> None:
        super().__init__("http://127.0.0.1:1", "none")
        self.state = state
        self.first = (forked_round or 0) + 1
        self.asked: list[int] = []
        self.listed: list[str] = []
        self.waited: list[tuple[str, int | None, float]] = []
        self.origin = forked_round and {"job": uuid.UUID(int=1), "round": forked_round}

    def job(self, job: uuid.UUID | str, after: int | None = None, wait_s: float = 0.0) -> JobDetail:
        self.waited.append((str(job), after, wait_s))
        spec = {
            "name": "x",
            "algorithm": {"name": "local"},
            "rounds": {"count": 5},
            "tasks": {"t": {"kind": "text_generation", "modalities": ["text"]}},
            "clients": ["a"],
        }
        return JobDetail.model_validate(
            {
                **made_job(state=self.state).model_dump(),
                "id": uuid.UUID(int=int(job)),
                "spec": spec,
                "forked_from": self.origin,
                "last_event": len(self.waited),
            }
        )

    def rounds(
        self,
        job: uuid.UUID | str,
        phase: AssignmentKind = AssignmentKind.TRAIN,
        *_: object,
        **__: object,
    ) -> list[RoundView]:
        self.listed.append(f"{job} {phase}")
        if phase is not AssignmentKind.TRAIN:
            leased = part("a", AssignmentState.LEASED, None)
            both = {"phase": phase, "number": 2, "assignments": (leased,)}
            personalizing = self.state is JobState.PERSONALIZING
            there = personalizing and phase is AssignmentKind.PERSONALIZE
            return [round_(2).model_copy(update=both)] if there else []
        return [self._round(number) for number in range(self.first, 3)]

    def round(self, job: uuid.UUID | str, number: int, *_: object, **__: object) -> RoundDetail:
        assert job in {"7", "8"}
        self.asked.append(number)
        return self._round(number)

    def _round(self, number: int) -> RoundDetail:
        closed = {"closed_at": NOW if number == 1 else None}
        return RoundDetail.model_validate({**round_(number).model_dump(), **closed})


def test_rounds_are_listed_once_and_then_those_that_are_open_asked_for() -> None:
    with ScriptedApi() as api:
        watcher = Watcher(api, ["7"])
        for _ in range(3):
            (found,) = watcher.look()
            assert [each.number for each in found.rounds] == [1, 2]
        assert api.asked == [2, 2, 2]
        assert api.listed == ["7 train"]


def test_behind_training_its_phases_are_shown_as_they_go() -> None:
    with ScriptedApi(state=JobState.PERSONALIZING) as api:
        (found,) = Watcher(api, ["7"]).look()
        assert [each.phase for each in found.rounds] == ["train", "train", "personalize"]
        assert api.listed == ["7 train", "7 personalize", "7 evaluate"]
    (working,) = found.rounds[-1].assignments
    assert found.part("a") == working


def test_one_of_the_jobs_that_go_on_is_waited_for() -> None:
    with ScriptedApi() as api:
        watcher = Watcher(api, ["7", "8"])
        watcher.look(1.0)
        watcher.look(1.0)
    assert api.waited == [("7", None, 0.0), ("8", None, 0.0), ("7", 1, 1.0), ("8", 2, 0.0)]


def test_only_a_forks_own_rounds_are_asked_for() -> None:
    for forked_round, asked in ((1, [2]), (2, [])):
        with ScriptedApi(forked_round) as api:
            Watcher(api, ["7"]).look()
            assert api.asked == asked


def test_plain_lines_name_a_fork_once_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.progress._PACE_S", 0)
    console = Console(width=200, file=io.StringIO(), record=True)
    with ScriptedApi() as api:
        before = api.job("7")
        after = before.model_copy(update={"forks": FORKS})
        steps = iter([before, after, after.model_copy(update={"state": JobState.SUCCEEDED})])
        monkeypatch.setattr(api, "job", lambda *_: next(steps))
        follow(api, ["7"], console, lambda: None, None)
    first, second, third = console.export_text().splitlines()
    assert "demo tap: running" in first
    assert second.endswith(f"demo tap: its forks: again ({FORKS[0].id}, round 2)")
    assert "demo tap: succeeded" in third
