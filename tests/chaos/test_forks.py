"""The process that forks the service's processes."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.chaos.forks import Forks
from tests.support.patience import wait_for

pytestmark = pytest.mark.chaos


@pytest.fixture
def forks(tmp_path: Path) -> Iterator[Forks]:
    forks = Forks(tmp_path / "ends", tmp_path / "forks.log", shim=None)
    yield forks
    forks.close()


def test_a_process_that_ends_at_once_is_not_reaped_before_it_has_a_handle(
    forks: Forks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(pid: int, opened: Callable[[int], int] = os.pidfd_open) -> int:
        process = psutil.Process(pid)
        wait_for(lambda: process.status() == psutil.STATUS_ZOMBIE)
        return opened(pid)

    monkeypatch.setattr(os, "pidfd_open", late)
    log = tmp_path / "api.log"
    pid, handle = forks.start("API", {}, log, tmp_path / "machine")
    os.close(handle)
    wait_for(lambda: pid in forks.ends())
    assert forks.ends()[pid] == 1, log.read_text()
