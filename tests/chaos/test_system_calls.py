"""The short form of `make system-calls`: a call of each process fails, and ends it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.system_calls import KILLED, Bitten, bitten

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(600),
    # .ci/run installs strace; who runs the tests elsewhere need not have it.
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]


@pytest.fixture(scope="module")
def stack(server_directory: Path) -> Iterator[Bitten]:
    with bitten(server_directory / "calls") as running:
        yield running


@pytest.mark.parametrize(
    ("process", "call", "error"),
    [
        pytest.param("api", "fsync", "error=EIO:when=1", marks=pytest.mark.long),
        pytest.param("coordinator", "fsync", "error=ENOSPC:when=1..2", marks=pytest.mark.long),
        pytest.param("worker", "rename", "error=EIO:when=1", marks=pytest.mark.long),
    ],
)
def test_a_system_call_fails_or_is_the_last_one(
    stack: Bitten, process: str, call: str, error: str
) -> None:
    assert stack.meet(process, call, [KILLED[0], error]) == 2
