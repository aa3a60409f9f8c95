"""How often a job and a round can be read while the job runs: `make bench-reads`.

Everything is real: one API process, Postgres with fsync, coordinator, planner and two workers that
train. wrk asks with 16 connections on loopback, for a bounded time, and counts answers that are no
success. A last line asks for what needs no database: the machine's share of the figures. Exits
with 1 where a limit is missed.
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from bench.stacks import BenchStack, load_average, settings, workplace
from shared.api_client import ApiClient
from shared.states import JOB_TERMINAL
from tests.support import federation, small
from tests.support.patience import wait_for

CONNECTIONS = 16
RATE_LIMIT, P99_LIMIT_MS = 600.0, 50.0
NOTHING = "nothing (healthz)"  # how fast this machine is now: no limit is for it
_UNITS: Mapping[str, float] = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True)
class Figures:
    """What wrk found."""

    rate: float
    p50_ms: float
    p99_ms: float
    failed: int

    @property
    def within(self) -> bool:
        """Whether the limits hold."""
        return self.rate >= RATE_LIMIT and self.p99_ms < P99_LIMIT_MS and not self.failed


def asked(url: str, key: str, seconds: int) -> Figures:
    """Ask for that long. Raises RuntimeError where wrk says something else than expected."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "--timeout", "10s"]
    header = f"Authorization: Bearer {key}"
    run = subprocess.run([*command, "-H", header, url], capture_output=True, text=True, check=True)
    return read(run.stdout)


def read(said: str) -> Figures:
    """The figures in what wrk prints. Raises RuntimeError where they are not there."""
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if rate is None:
        raise RuntimeError(f"wrk said no rate: {said}")
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    lost = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    failed = sum(int(each) for found in (refused, lost) if found for each in found.groups())
    return Figures(float(rate[1]), _percentile(said, 50), _percentile(said, 99), failed)


def _percentile(said: str, which: int) -> float:
    found = re.search(rf"^\s+{which}%\s+([\d.]+)(us|ms|s)$", said, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"wrk said no percentile {which}: {said}")
    return float(found[1]) * _UNITS[found[2]]


def running(api: ApiClient) -> UUID:
    """A job in its third round, which goes on for longer than this looks at it."""
    spec = small.spec(clients=sorted(federation.CLIENTS), rounds={"count": 10_000})
    job = api.submit(spec, "read").id
    wait_for(lambda: api.job(job).round > 2, 120, lambda: str(api.waiting(job)))
    return job


def measured(stack: BenchStack, api: ApiClient, seconds: int) -> Iterator[tuple[str, Figures]]:
    """What is read while a job runs."""
    job = running(api)
    began, address = api.job(job).round, f"{stack.url}/v1/jobs/{job}"
    key = stack.admin_key_file.read_text(encoding="ascii").strip()
    for name, url in (
        ("a job", address),
        ("a round that is over", f"{address}/rounds/1"),
        ("the round that runs", f"{address}/rounds/{began}"),
        (NOTHING, f"{stack.url}/healthz"),
    ):
        yield name, asked(url, key, seconds)
    now = api.job(job)
    if now.state in JOB_TERMINAL:
        raise RuntimeError(f"the job has ended {now.state}: nothing was measured beside it")
    print(f"the job went from round {began} to {now.round} meanwhile")
    api.cancel(job)


def main() -> None:
    """Print a line for each address; exit with 1 where a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=10)
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("error: wrk is not installed: apt-get install wrk")
    held = True
    with workplace() as (processes, root):
        files = federation.write(root / "clients")
        with BenchStack(processes, settings(root, files, 2)) as stack, stack.client() as api:
            stack.wait_for_offers()
            print(f"load average before: {load_average()}")
            print("| what is read | requests a second | median | p99 | failed |")
            print("|---|---|---|---|---|")
            for name, each in measured(stack, api, given.seconds):
                times = f"{each.p50_ms:.1f} ms | {each.p99_ms:.1f} ms"
                print(f"| {name} | {each.rate:,.0f} | {times} | {each.failed} |", flush=True)
                held = held and (each.within or name == NOTHING)
            print(f"load average after: {load_average()}")
    print(f"limits ({RATE_LIMIT:.0f} a second, p99 below {P99_LIMIT_MS:.0f} ms): {held}")
    sys.exit(int(not held))


if __name__ == "__main__":
    main()
