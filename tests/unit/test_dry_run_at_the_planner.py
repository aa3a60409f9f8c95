"""What a planner says of a dry run is what it does for the job; and how fast clients train."""

from pathlib import Path
from uuid import UUID

import pytest

from shared.artifacts import ArtifactStore
from shared.dry_run import DryRunClaim, DryRunDescription, DryRunFailure
from shared.messages import AssignmentKind, Claim, FailureCode, Lease
from shared.results import Pace
from shared.transport import ApiError, no_answer
from tests.support import small
from worker import describing
from worker.assignments import Workshop
from worker.attempt import Member
from worker.coordinator import WithdrawnError
from worker.describing import describe_next
from worker.failures import FailedError
from worker.host import Host
from worker.planner import plan
from worker.spent import Spent
from worker.supervision import ChildDiedError, Limits, Report, UnexpectedError
from worker.trainer_process import TrainerProcess
from worker.training.trainer import Trainer
from worker.work import Equipment
from worker.workplace import Workplace

pytestmark = pytest.mark.unit

JOB = small.spec()
NAMES = tuple(sorted(str(c) for c in small.task_components(JOB, "vqa")))
DRY_RUN = DryRunClaim(id=UUID(int=1), spec=JOB, components=NAMES)


def workshop() -> Workshop:
    return Workshop(Equipment({}))


@pytest.mark.parametrize("low_rank", ["factors", "fedsa"])
def test_it_is_what_planning_the_job_would_give(tmp_path: Path, low_rank: str) -> None:
    job = small.family_spec("flava", "lora").model_copy(
        update={"aggregation": small.spec(aggregation={"low_rank": low_rank}).aggregation}
    )
    claim = Claim(
        assignment_id=UUID(int=2),
        kind=AssignmentKind.PLAN,
        job_id=UUID(int=3),
        spec=job,
        lease=Lease(id=UUID(int=4), attempt=1, seconds=60),
        round=0,
        components=NAMES,
    )
    planned = plan(claim, ArtifactStore(tmp_path, durable=False))
    found = workshop().describe(DryRunClaim(id=UUID(int=1), spec=job, components=NAMES))
    assert found.catalogue == planned.catalogue
    assert found.version == planned.result.components  # type: ignore[union-attr]  # of a plan


def test_components_that_begin_alike_are_said_to() -> None:
    version = workshop().describe(DRY_RUN).version
    assert version["block.mote.image"] == version["block.mote.shared"], "copies of the base's layer"
    assert version["head.vqa"] != version["proj"]


def test_a_base_that_is_not_there_is_a_failure_with_its_code() -> None:
    wrong = JOB.model_copy(update={"model": JOB.model.model_copy(update={"digest": "0" * 64})})
    with pytest.raises(FailedError, match="but the job names 000") as caught:
        workshop().describe(DRY_RUN.model_copy(update={"spec": wrong}))
    assert caught.value.code is FailureCode.BASE_MISMATCH


class Api:
    """Stands for the API: has one dry run, and notes what it is told."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.told: list[tuple[UUID, DryRunDescription | DryRunFailure]] = []
        self._claims = [DRY_RUN]
        self._refuses = refuses

    def claim(self, *_: object) -> None:
        """No assignment."""

    def claim_dry_run(self) -> DryRunClaim | None:
        if self._refuses:
            raise ApiError(no_answer(404, "there is no such address"))
        return self._claims.pop() if self._claims else None

    def describe_dry_run(self, dry_run: UUID, found: DryRunDescription) -> None:
        self.told.append((dry_run, found))

    fail_dry_run = describe_dry_run


class Child(TrainerProcess):
    """A training process in this one; `error` is how it ends, if it does not answer."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def describe(self, claim: DryRunClaim, on_progress: Report) -> DryRunDescription:
        on_progress(0.0)
        if self._error:
            raise self._error
        return workshop().describe(claim)


def member(api: Api, root: Path) -> Member:
    place = Workplace("planner", ArtifactStore(root / "cache", durable=False), root)
    return Member(api, place)  # type: ignore[arg-type]  # it stands for it


def test_a_planner_without_assignments_describes_what_waits(tmp_path: Path) -> None:
    api = Api()
    Host({"planner": member(api, tmp_path)}, Child(), planner=True).work("planner")
    [(dry_run, found)] = api.told
    assert dry_run == DRY_RUN.id
    assert isinstance(found, DryRunDescription)
    assert set(found.catalogue.components) == set(NAMES)


def test_clients_are_not_asked_to(tmp_path: Path) -> None:
    api = Api()
    Host({"c01": member(api, tmp_path)}, Child()).work("c01")
    assert api.told == []


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (FailedError(FailureCode.BASE_MISMATCH, "no such base"), "base_mismatch", "no such base"),
        (ChildDiedError(-9, out_of_memory=True), "out_of_memory", "SIGKILL"),
        (ChildDiedError(-11, out_of_memory=False), "internal", "SIGSEGV"),
        (UnexpectedError("KeyError"), "internal", "unexpected KeyError"),
    ],
)
def test_how_it_fails_is_told(tmp_path: Path, error: Exception, code: str, said: str) -> None:
    api = Api()
    assert describe_next(member(api, tmp_path), Child(error), lambda _: None)
    [(_, failure)] = api.told
    assert isinstance(failure, DryRunFailure)
    assert failure.code == code
    assert said in failure.message


@pytest.mark.parametrize(("status", "failures"), [(422, 1), (413, 1), (503, 0), (0, 0)])
def test_a_description_that_is_refused_is_a_failure(
    tmp_path: Path, status: int, failures: int
) -> None:
    class Refusing(Api):
        def describe_dry_run(self, *_: object) -> None:
            raise ApiError(no_answer(status, "proj is missing"))

    api = Refusing()
    describe_next(member(api, tmp_path), Child(), lambda _: None)
    assert len(api.told) == failures
    for _, failure in api.told:
        assert isinstance(failure, DryRunFailure)
        assert (failure.code, failure.message) == ("refused", "proj is missing")


def test_one_that_takes_too_long_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(describing, "MOST_S", -1.0)
    api = Api()
    assert describe_next(member(api, tmp_path), Child(), lambda _: None)
    [(_, failure)] = api.told
    assert isinstance(failure, DryRunFailure)
    assert "not made within" in failure.message


def test_a_planner_that_stops_leaves_it_to_another(tmp_path: Path) -> None:
    def stop(_: float) -> None:
        raise WithdrawnError("this worker stops")

    api = Api()
    assert not describe_next(member(api, tmp_path), Child(), stop)
    assert api.told == []


def test_an_older_server_has_none(tmp_path: Path) -> None:
    assert not describe_next(member(Api(refuses=True), tmp_path), Child(), lambda _: None)


def test_the_training_process_answers_both() -> None:
    trainer = TrainerProcess.of(Equipment({}), Limits())
    try:
        found = trainer.describe(DRY_RUN, lambda _: None)
    finally:
        trainer.kill()
    assert found == workshop().describe(DRY_RUN)


def test_the_pace_is_of_the_steps_made_here_and_tells_all() -> None:
    spent = Spent({"train": 6.0, "load": 5.0}, steps=3, asked=6)  # three were made before a kill
    assert spent.pace == Pace(steps=6, step_seconds=2.0)
    assert Spent(asked=3).pace is None


def test_a_trainer_tells_all_steps_of_an_assignment() -> None:
    at = Trainer("c01", JOB, small.network(JOB, ["digits"]), small.data(JOB, ["digits"]))
    start = at.network.state()
    at.local_steps(start, 1, "engaged")
    at.local_steps(start, 1, "personal", times=2)
    pace = at.spent.pace
    assert pace is not None
    assert pace.steps == 3 * JOB.training.local_steps
