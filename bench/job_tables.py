"""What reading a long job takes: its tables, as pages and as CSV, beside the list of its rounds.

The job's rows are written by tests/support/long_job.py into a real Postgres; a real API process on
a socket answers. Memory is the process's peak above what it held before the request, as Linux says
in /proc. Each request is made some times; the median counts, and the largest peak.
"""

import argparse
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx
import psycopg

from bench.stacks import load_average, workplace
from cli.stack import postgres
from cli.stack.processes import Child, Command, Processes
from server.auth import create_key
from server.columns import Scope
from server.database import make_engine, make_sessions
from server.migrate import upgrade
from shared.job_tables import TABLES
from tests.support.long_job import LongJob, write

PAGES = ("", "?limit=5000", "?format=csv")
REQUESTS = (
    *(f"{table}{how}" for table in TABLES for how in PAGES),
    "rounds?limit=200",
    "attendance",
    "report",
)
_READY_WITHIN_S = 60.0
_ANSWER_S = 120.0


@dataclass(frozen=True)
class Figures:
    """What one request took."""

    seconds: float
    n_bytes: int
    peak_bytes: int


def status_bytes(pid: int, field: str) -> int:
    """A size that Linux keeps of a process: VmRSS, or VmHWM for its peak."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    (line,) = (line for line in lines if line.startswith(f"{field}:"))
    return int(line.split()[1]) << 10


def measured(http: httpx.Client, pid: int, path: str) -> Figures:
    """Make the request, and read the answer without keeping it."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    before, began = status_bytes(pid, "VmRSS"), time.perf_counter()
    with http.stream("GET", path) as response:
        if not response.is_success:
            response.read()
            raise RuntimeError(f"{path} answered {response.status_code}: {response.text}")
        n_bytes = sum(map(len, response.iter_raw()))
    seconds = time.perf_counter() - began
    return Figures(seconds, n_bytes, status_bytes(pid, "VmHWM") - before)


def summed(found: list[Figures]) -> Figures:
    """The median of the times, and the largest peak."""
    times = [each.seconds for each in found]
    return Figures(median(times), found[0].n_bytes, max(each.peak_bytes for each in found))


@contextmanager
def serving(processes: Processes, root: Path, job: LongJob) -> Iterator[tuple[Child, str, str]]:
    """An API over a database that holds the job; its process, its address and a viewer's key."""
    server = postgres.start(processes, root / "postgres", durable=False)
    address = server.url("postgres").replace("postgresql+psycopg:", "postgresql:")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("CREATE DATABASE bench TEMPLATE template0")
    url = server.url("bench")
    upgrade(url)
    key = filled(url, job)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {
        "TAPESTRY_DATABASE_URL": url,
        "TAPESTRY_REDIS_URL": "redis://127.0.0.1:1/0",
        "TAPESTRY_ARTIFACTS_DIR": str(root / "artifacts"),
        "TAPESTRY_PORT": str(port),
    }
    command = Command("api", [sys.executable, "-m", "server.main"], env)
    child = processes.start(command, root / "api.log")
    try:
        yield child, f"http://127.0.0.1:{port}", key
    finally:
        processes.stop(child)


def filled(url: str, job: LongJob) -> str:
    """Write the job and have Postgres count its rows, as it does by itself in time; a key."""
    engine = make_engine(url)
    sessions = make_sessions(engine)
    began = time.perf_counter()
    write(sessions, job)
    print(f"{job.n_rounds} rounds, {job.n_clients} clients: {time.perf_counter() - began:.0f} s")
    with sessions.begin() as session:
        session.connection().exec_driver_sql("ANALYZE")
        key = create_key(session, Scope.VIEWER)
    engine.dispose()
    return key


def wait_until_ready(url: str, child: Child) -> None:
    """Until the API answers. Raises StackError, TimeoutError."""
    end = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < end:
        if child.ended:
            raise child.failure()
        try:
            httpx.get(f"{url}/healthz", trust_env=False)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"the API at {url} does not answer; see {child.log}")


def main() -> None:
    """Print a line for each request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--clients", type=int, default=30)
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args()
    job = LongJob(n_rounds=given.rounds, n_clients=given.clients)
    with workplace() as (processes, root), serving(processes, root, job) as (child, url, key):
        wait_until_ready(url, child)
        headers = {"Authorization": f"Bearer {key}"}
        print(f"load average before: {load_average()}")
        print("| request | median | bytes | peak memory above |\n|---|---|---|---|")
        with httpx.Client(
            base_url=f"{url}/v1/jobs/{job.id}/", headers=headers, timeout=_ANSWER_S, trust_env=False
        ) as http:
            http.get("losses")  # what is imported late is there now
            for path in REQUESTS:
                found = [measured(http, child.process.pid, path) for _ in range(given.times)]
                one = summed(found)
                print(
                    f"| `{path}` | {one.seconds * 1000:.0f} ms | {one.n_bytes:,} "
                    f"| {one.peak_bytes / (1 << 20):.1f} MiB |",
                    flush=True,
                )
        print(f"load average after: {load_average()}")


if __name__ == "__main__":
    main()
