"""Any process of the local stack may be killed: the job goes on, and ends with the same bits."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.stack.keeper import Keeper
from cli.stack.processes import Processes
from cli.stack.stack import Stack
from shared.job_spec import JobSpec
from tests.support import federation
from tests.support.outcome import outcome
from tests.support.patience import wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.long, pytest.mark.timeout(300)]
KILLED_TOGETHER = (("coordinator", "worker-1"), ("api", "Valkey"), ("worker-2", "Postgres"))


@pytest.fixture(scope="module")
def stack(server_directory: Path, client_files: list[Path]) -> Iterator[Stack]:
    settings = federation.stack_settings(server_directory / "kept", client_files[:2])
    with Processes() as own, Stack(own, settings) as running:
        running.wait_for_offers()
        with Keeper(own):
            yield running


def spec(name: str) -> JobSpec:
    return federation.job(name, rounds={"count": len(KILLED_TOGETHER), "max_attempts": 10})


def kill(stack: Stack, name: str) -> None:
    (pid,) = (
        child.process.pid
        for child in stack.processes.children
        if child.command.name.removeprefix("process ") == name
    )
    os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def undisturbed(stack: Stack) -> Any:
    with stack.client() as api:
        return outcome(api, api.submit(spec("undisturbed"), "undisturbed").id)


def test_each_process_is_killed_in_a_round_of_a_job(stack: Stack, undisturbed: Any) -> None:
    with stack.client(patience_s=60) as api:
        job = api.submit(spec("killed"), "killed").id
        for number, names in enumerate(KILLED_TOGETHER, start=1):
            wait_for(lambda number=number: api.job(job).round >= number, within_s=120)  # type: ignore[misc]
            for name in names:
                kill(stack, name)
        assert outcome(api, job) == undisturbed
