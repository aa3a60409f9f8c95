"""`python -m tests.chaos.leaks`: what the processes hold, round after round of a long job."""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import psutil
import psycopg

from cli.signals import Stopped, ending_on_signals
from cli.stack.processes import Processes
from cli.stack.settings import StackSettings
from cli.stack.stack import Stack
from shared.api_client import ApiClient
from shared.states import JOB_TERMINAL, JobState
from tests.chaos.slope import Slope, slope
from tests.support import federation, small
from tests.support.figures import Row, show
from tests.support.patience import wait_for

# What may grow with each round at most; the slope's whole interval must lie below.
BOUNDS = {"RSS, kB": 20.0, "open files": 0.1, "threads": 0.1, "connections": 0.1}
WARM_UP = 40  # rounds: caches and tables of names fill, pools grow, Python's arenas settle
_ROUND_WITHIN_S = 240.0  # of a machine that has other work

Sample = Mapping[tuple[str, str], float]  # (process, quantity) -> what it holds


@dataclass(frozen=True)
class Found:
    """One quantity of one process, after the warm-up."""

    process: str
    quantity: str
    first: float
    last: float
    slope: Slope

    @property
    def flat(self) -> bool:
        """Whether it does not grow with the rounds."""
        return self.slope.high < BOUNDS[self.quantity]


def measure(rounds: int, warm_up: int = WARM_UP) -> list[Found]:
    """Run a job; look at every process after each of so many rounds, behind the warm-up."""
    with Processes() as processes:
        place = processes.own_directory(Path(mkdtemp(prefix="tapestry-leaks-")))
        clients = federation.write(place / "clients")
        settings = StackSettings(place / "state", place / "logs", tuple(clients), durable=False)
        with Stack(processes, settings, lambda _: None) as stack:
            stack.wait_for_offers()
            samples = list(_samples(stack, warm_up + rounds))[warm_up:]
    return [_judged(samples, key) for key in samples[0]]


def _samples(stack: Stack, rounds: int) -> Iterator[Sample]:
    """One sample at the end of each round."""
    address = stack._server_env["TAPESTRY_DATABASE_URL"].replace("+psycopg", "")
    spec = small.spec(name="long", clients=sorted(federation.CLIENTS), rounds={"count": rounds})
    with stack.client() as api, psycopg.connect(address, autocommit=True) as database:
        job = api.submit(spec, "long").id
        for number in range(1, rounds + 1):
            _wait_for_version(api, str(job), number)
            yield {**_of_processes(stack), **_of_database(database)}
        wait_for(lambda: api.job(job).state in JOB_TERMINAL, _ROUND_WITHIN_S)
        assert api.job(job).state is JobState.SUCCEEDED, api.job(job).failure


def _wait_for_version(api: ApiClient, job: str, number: int) -> None:
    def there() -> bool:
        now = api.job(job)
        return now.state in JOB_TERMINAL or now.round > number

    wait_for(there, _ROUND_WITHIN_S, lambda: f"round {number}: {api.waiting(job)}")


def _of_processes(stack: Stack) -> dict[tuple[str, str], float]:
    found: Counter[tuple[str, str]] = Counter()
    for child in stack._children:
        name = child.command.name.removeprefix("process ")
        root = psutil.Process(child.process.pid)
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):  # a short one, such as Postgres's vacuum
                held = process.as_dict(["memory_info", "num_threads", "num_fds"])
                found[name, "RSS, kB"] += held["memory_info"].rss // 1024
                found[name, "threads"] += held["num_threads"]
                found[name, "open files"] += held["num_fds"]
    return dict(found)


def _of_database(database: "psycopg.Connection[tuple[int]]") -> dict[tuple[str, str], float]:
    query = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    row = database.execute(query).fetchone()
    return {("postgres", "connections"): float(row[0] - 1 if row else 0)}


def _judged(samples: Sequence[Sample], key: tuple[str, str]) -> Found:
    values = [sample[key] for sample in samples]
    return Found(*key, values[0], values[-1], slope(values))


def rows(found: Sequence[Found], rounds: int, warm_up: int = WARM_UP) -> Iterator[Row]:
    """The figures."""
    yield "rounds", f"{rounds}, after {warm_up} to warm up"
    limits = ", ".join(f"{bound:g} {quantity}" for quantity, bound in BOUNDS.items())
    yield "flat means: with 95 % a round adds less than", limits
    for each in found:
        if each.quantity == "RSS, kB" or each.slope != Slope(0, 0, 0):
            yield f"{each.process}: {each.quantity}", _described(each)
    still = sum(each.slope == Slope(0, 0, 0) for each in found)
    yield "quantities that did not move at all", still


def _described(found: Found) -> str:
    s = found.slope
    word = "flat" if found.flat else "GROWS" if s.low > 0 else "unclear"
    interval = f"{s.value:+.2f} a round ({s.low:+.2f} to {s.high:+.2f})"
    return f"{found.first:.0f} to {found.last:.0f}, {interval}: {word}"


def main() -> None:
    """Measure and print; ends with 1 where something grows."""
    parser = argparse.ArgumentParser(prog="tests.chaos.leaks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--record", action="store_true", help="keep the table in the docs")
    wish = parser.parse_args()
    try:
        with ending_on_signals():
            found = measure(wish.rounds)
    except Stopped as stopped:
        sys.exit(stopped.exit_code)
    command = f"make leaks ROUNDS={wish.rounds}"
    show("leaks", command, list(rows(found, wish.rounds)), record=wish.record)
    sys.exit(any(not each.flat for each in found))


if __name__ == "__main__":
    main()
