"""`make system-calls`: a system call that fails, or at which a process dies, changes no outcome.

strace meets the calls of one process at a time, beside a job that must end with the versions,
decisions and scores of an undisturbed one. `test_system_calls.py` is the short form.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from uuid import UUID

from cli.stack.processes import Processes
from shared.api_client import ApiClient
from tests.support import federation
from tests.support.disturbed import Patient
from tests.support.figures import Row, show
from tests.support.outcome import outcome
from tests.support.system_calls import injected, wait_for_hit

PROCESSES = ("api", "coordinator", "worker")
KILLED = ("signal=KILL:when=1", "signal=KILL:when=2")
FAULTS: Mapping[str, Sequence[str]] = {
    "fsync": (*KILLED, "error=EIO:when=1", "error=ENOSPC:when=1..2"),
    "rename": (*KILLED, "error=EIO:when=1", "error=ENOSPC:when=1"),
    "write": (*KILLED, "error=EIO:when=1", "error=ENOSPC:when=1..3"),
    "sendto": (*KILLED, "error=ECONNRESET:when=1", "error=EPIPE:when=2..4"),
}
_HIT_WITHIN_S = 60.0


class Bitten:
    """A running stack whose processes' calls are met with faults."""

    def __init__(self, stack: Patient, api: ApiClient, traces: Path) -> None:
        self._stack = stack
        self._api = api
        self._traces = traces
        self._numbers = count()
        self._expected = outcome(api, self._submit())

    def meet(self, process: str, call: str, faults: Sequence[str]) -> int:
        """Meet the process's calls with each fault in turn; returns how many jobs ended equal.

        Raises AssertionError where no call was met, or a job ended otherwise than undisturbed.
        """
        jobs = [self._meet_once(process, call, fault) for fault in faults]
        for job, fault in zip(jobs, faults, strict=True):
            assert outcome(self._api, job) == self._expected, f"{process} {call} {fault}"
        return len(jobs)

    def _meet_once(self, process: str, call: str, fault: str) -> UUID:
        job = self._submit()
        log = self._traces / f"strace-{next(self._numbers)}"
        pid = self._stack.child(process).process.pid
        with injected(pid, call, fault, log) as trace:
            assert wait_for_hit(trace, _HIT_WITHIN_S), f"{process} makes no {call} in its work"
        self._stack.start_again(process)
        return job

    def _submit(self) -> UUID:
        name = f"job-{next(self._numbers)}"
        spec = federation.job(name, rounds={"count": 3, "max_attempts": 100})
        return self._api.submit(spec, name).id


@contextmanager
def bitten(directory: Path) -> Iterator[Bitten]:
    """A stack of its own in the directory, which has ended one job undisturbed."""
    files = federation.write(directory / "a federation")
    settings = federation.stack_settings(directory / "calls", files[:2])
    with Processes() as own, Patient(own, settings) as stack:
        stack.start_own_worker()
        stack.wait_for_offers()
        with stack.client(patience_s=60) as api:
            yield Bitten(stack, api, directory)


def main() -> None:
    """Meet each call of each process with each fault; print what it came to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true", help="write it to docs/reliability.md")
    record = parser.parse_args().record
    began = time.monotonic()
    rows: list[Row] = []
    with (
        tempfile.TemporaryDirectory(prefix="tapestry-calls-") as root,
        bitten(Path(root)) as stack,
    ):
        for process in PROCESSES:
            for call, faults in FAULTS.items():
                equal = stack.meet(process, call, faults)
                what = f"{call} of the {process}: {', '.join(faults)}"
                rows.append((what, f"{equal} of {len(faults)} jobs with the undisturbed outcome"))
                print(*rows[-1], flush=True)
    rows.append(("minutes", round((time.monotonic() - began) / 60)))
    show("system calls", "make system-calls", rows, record=record)


if __name__ == "__main__":
    main()
