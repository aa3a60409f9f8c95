"""A worker that is killed at any point, or told to stop, changes nothing of the outcome.

Every third point of a worker in turn; `make crash-points` has each alone, twice.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from cli.stack.processes import Processes
from shared.crash_points import TRAINER_POINTS, WORKER_POINTS
from shared.states import JOB_TERMINAL, AssignmentState, JobState
from tests.support import federation, small
from tests.support.outcome import outcome
from tests.support.patience import wait_for
from tests.support.unattended import PLANNER_POINTS, PLANNER_TRAINER_POINTS, Unattended

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

KILLED = -9


@pytest.fixture(scope="module")
def stack(server_directory: Path, client_files: list[Path]) -> Iterator[Unattended]:
    settings = federation.stack_settings(server_directory / "unattended", client_files[:2])
    with Processes() as own, Unattended(own, settings) as running:
        worker = running.start_worker()  # the clients must have made an offer
        running.wait_for_offers()
        end(worker)
        yield running


def end(worker: Any) -> None:
    """Tell a worker to stop: it does so soon and in peace."""
    worker.terminate()
    worker.join(10)
    assert worker.exitcode == 0


@pytest.fixture(scope="module")
def undisturbed(stack: Unattended) -> Any:
    """The outcome when a worker is started as a user does, polls, and is left in peace."""
    worker = stack.start_command()
    with stack.client() as api:
        result = outcome(api, api.submit(federation.job("undisturbed"), "undisturbed").id)
    worker.process.terminate()
    assert worker.process.wait(10) == 0
    stack.processes.stop(worker)
    return result


def test_a_job_needs_no_broker(undisturbed: Any) -> None:
    versions, _, scores = undisturbed
    assert len(versions) == 3
    assert scores


def test_a_worker_killed_at_one_point_after_the_other_ends_with_the_same_bits(
    stack: Unattended, undisturbed: Any
) -> None:
    with stack.client() as api:
        job = api.submit(federation.job("worker"), "worker").id
        for point in WORKER_POINTS[::3]:
            worker = stack.start_worker(crash=f"{point}:1")
            worker.join(60)
            assert worker.exitcode == KILLED, point
        worker = stack.start_worker()
        assert outcome(api, job) == undisturbed
    end(worker)


@pytest.mark.parametrize(
    "points", [TRAINER_POINTS[:2], pytest.param(TRAINER_POINTS[2:], marks=pytest.mark.long)]
)
def test_a_trainer_killed_at_two_points_in_turn_ends_with_the_same_bits(
    stack: Unattended, undisturbed: Any, points: Sequence[str]
) -> None:
    worker = stack.start_worker(crash=f"{points[0]}:1@1,{points[1]}:1@2")
    with stack.client() as api:
        assert outcome(api, api.submit(federation.job(points[0]), points[0]).id) == undisturbed
    end(worker)
    log = (stack.settings.logs / "clients.log").read_text().rpartition("is offered")[2]
    assert log.count("the training process was killed by SIGKILL") == 2


@pytest.mark.long
def test_a_planner_killed_at_every_point_in_turn_plans_the_same(
    stack: Unattended, undisturbed: Any
) -> None:
    stack.stop_planner()
    deaths = ",".join(f"{point}:1@{n}" for n, point in enumerate(PLANNER_TRAINER_POINTS, 1))
    try:
        with stack.client() as api:
            planned = api.submit(federation.job("planner"), "planner").id
            for point in PLANNER_POINTS:
                planner = stack.start_worker("planner", f"{point}:1")
                planner.join(60)
                assert planner.exitcode == KILLED, point
            job = api.submit(federation.job("plan trainer"), "plan-trainer").id
            planner = stack.start_worker("planner", deaths)
            wait_for(lambda: api.job(job).state is JobState.RUNNING)
            end(planner)
            log = (stack.settings.logs / "planner.log").read_text()
            assert log.count("the training process was killed by SIGKILL") == 2
    finally:
        stack.start_planner()
    worker = stack.start_worker()
    with stack.client() as api:
        assert outcome(api, planned) == undisturbed
        assert outcome(api, job) == undisturbed
    end(worker)


@pytest.mark.parametrize("broker", [False, True])
def test_a_worker_that_is_told_to_stop_gives_its_assignment_back(
    stack: Unattended, *, broker: bool
) -> None:
    training = {**small.SPEC["training"], "local_steps": 100_000}
    worker = stack.start_worker(broker=broker)
    with stack.client() as api:
        job = api.submit(federation.job("endless", training=training), f"endless-{broker}").id

        def kinds() -> list[str]:
            return [event.kind for event in api.events(job)]

        if broker:
            log = stack.settings.logs / "clients.log"
            wait_for(lambda: " ready." in log.read_text())  # Celery listens
        wait_for(lambda: any(a.progress > 0 for r in api.rounds(job) for a in r.assignments))
        end(worker)
        (round_of,) = api.rounds(job)
        assert {a.state for a in round_of.assignments} == {AssignmentState.QUEUED}
        assert {a.attempt for a in round_of.assignments} == {0, 1}
        assert kinds()[-1] == "assignment.queued"
        api.cancel(job)
        wait_for(lambda: api.job(job).state in JOB_TERMINAL)
