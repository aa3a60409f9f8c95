"""`make system-calls`: a system call that fails, or at which a process dies, changes no outcome.

A long form: strace stops the processes at every call that they make.
"""

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from cli.stack.processes import Processes
from shared.api_client import ApiClient
from tests.support import federation
from tests.support.disturbed import Patient
from tests.support.outcome import outcome
from tests.support.system_calls import injected, wait_for_hit

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(900),
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]

KILLED = ("signal=KILL:when=1", "signal=KILL:when=2")
FAULTS = {
    "fsync": (*KILLED, "error=EIO:when=1", "error=ENOSPC:when=1..2"),
    "rename": (*KILLED, "error=EIO:when=1", "error=ENOSPC:when=1"),
    "write": (*KILLED, "error=EIO:when=1", "error=ENOSPC:when=1..3"),
    "sendto": (*KILLED, "error=ECONNRESET:when=1", "error=EPIPE:when=2..4"),
}
NAMES = itertools.count()


@pytest.fixture(scope="module")
def client_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return federation.write(tmp_path_factory.mktemp("a federation"))


@pytest.fixture(scope="module")
def stack(server_directory: Path, client_files: list[Path]) -> Iterator[Patient]:
    settings = federation.stack_settings(server_directory / "calls", client_files[:2])
    with Processes() as own, Patient(own, settings) as running:
        running.start_own_worker()
        running.wait_for_offers()
        yield running


def submit(api: ApiClient) -> UUID:
    name = f"job-{next(NAMES)}"
    spec = federation.job(name, rounds={"count": 3, "max_attempts": 100})
    return api.submit(spec, name).id


@pytest.fixture(scope="module")
def undisturbed(stack: Patient) -> Any:
    with stack.client() as api:
        return outcome(api, submit(api))


@pytest.mark.parametrize("call", sorted(FAULTS))
@pytest.mark.parametrize("process", ["api", "coordinator", "worker"])
def test_a_system_call_fails(
    stack: Patient, undisturbed: Any, process: str, call: str, tmp_path: Path
) -> None:
    jobs: list[UUID] = []
    with stack.client(patience_s=60) as api:
        for number, fault in enumerate(FAULTS[call]):
            jobs.append(submit(api))
            pid = stack.child(process).process.pid
            with injected(pid, call, fault, tmp_path / f"strace-{number}") as trace:
                assert wait_for_hit(trace, 60), f"{process} makes no such call in its work"
            stack.start_again(process)
        for job in jobs:
            assert outcome(api, job) == undisturbed
