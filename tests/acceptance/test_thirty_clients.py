"""One worker process hosts thirty clients, and their round passes without a second attempt."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.stack.processes import Processes
from cli.stack.stack import Stack
from shared.states import JOB_TERMINAL, AssignmentState, JobState
from tests.support import federation, small

pytestmark = [pytest.mark.acceptance, pytest.mark.long, pytest.mark.timeout(300)]

TASKS = ("digits", "reviews", "titles")
CLIENTS = {f"c{i:02}": (TASKS[i % len(TASKS)],) for i in range(30)}


@pytest.fixture
def stack(server_directory: Path, tmp_path: Path) -> Iterator[Stack]:
    settings = federation.stack_settings(
        server_directory / "thirty", federation.write(tmp_path, CLIENTS), n_workers=1
    )
    with Processes() as own, Stack(own, settings) as running:
        running.wait_for_offers()
        yield running


def test_thirty_clients_of_one_process_run_a_round_without_errors(stack: Stack) -> None:
    tasks = {task: small.SPEC["tasks"][task] for task in TASKS}
    spec = small.spec(name="thirty", clients=list(CLIENTS), tasks=tasks, rounds={"count": 1})
    with stack.client() as api:
        job = api.submit(spec, "thirty").id
        end = time.monotonic() + 200
        while api.job(job).state not in JOB_TERMINAL:
            assert time.monotonic() < end
            time.sleep(0.2)
        assert api.job(job).state is JobState.SUCCEEDED, api.job(job).failure
        rounds = api.rounds(job)
    assert [len(each.assignments) for each in rounds] == [30]
    for row in (assignment for each in rounds for assignment in each.assignments):
        assert (row.state, row.attempt, row.failure) == (AssignmentState.ACCEPTED, 1, None)
