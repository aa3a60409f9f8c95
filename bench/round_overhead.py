"""What a round costs beside training: two clients, about 1 MB of components each, nobody trains.

`make bench-rounds` runs it. API, coordinator, Postgres (with fsync), Valkey and two worker
processes are real; the workers leave the optimizer's steps out (bench/untrained_worker.py), so a
round's whole time, from its opening to its version, is overhead: hint, claim, download, files,
upload, report, checking, averaging, publishing. The first rounds warm up and do not count. Then
the broker is killed and the same is measured again, where clients ask once in a poll interval.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from statistics import median, quantiles
from typing import ClassVar
from uuid import UUID

from bench.stacks import BenchStack, finished, load_average, settings, workplace
from shared.api_client import ApiClient
from shared.views import EventView, RoundView
from tests.support import federation, small

CLIENTS = {"c01": ("digits", "vqa"), "c02": ("digits", "drawing")}
POLL_S = 1.0
LIMIT_S = 0.5
WARM_UP = 3
MODEL = {
    "random": {
        "hidden_size": 32, "heads": 2, "image_layers": 4, "text_layers": 1, "fusion_layers": 1,
        "image_size": 16, "patch_size": 8,
    },
    "trainable": "full",
    "max_text_tokens": 12,
}  # fmt: skip
STEPS = ("opened", "claimed", "all claimed", "a result", "all results", "closed", "published")


class UntrainedStack(BenchStack):
    """Its clients do not train."""

    worker_module = "bench.untrained_worker"
    more_env: ClassVar = {"TAPESTRY_POLL_S": str(POLL_S)}


def run_job(api: ApiClient, name: str, n_rounds: int) -> UUID:
    """Run a job of so many rounds; returns its id."""
    tasks = {task: small.SPEC["tasks"][task] for each in CLIENTS.values() for task in each}
    spec = small.spec(
        name=name,
        clients=list(CLIENTS),
        tasks=tasks,
        model=MODEL,
        rounds={"count": n_rounds},
        algorithm={"name": "fedavg", "post_training": False},
    )
    return finished(api, api.submit(spec, name.replace(" ", "-")).id).id


def moments(rounds: Sequence[RoundView], events: Sequence[EventView]) -> list[list[datetime]]:
    """When each step of each counted round was reached."""
    counted = [r for r in rounds if r.number > WARM_UP and r.version is not None]
    return [_moments(each, events) for each in counted]


def _moments(row: RoundView, events: Sequence[EventView]) -> list[datetime]:
    closed = row.closed_at
    if closed is None:
        raise RuntimeError(f"round {row.number} is not closed")
    within = [e for e in events if row.opened_at <= e.at <= closed]

    def at(kind: str) -> list[datetime]:
        return [e.at for e in within if e.kind == kind]

    claims, results = at("assignment.leased"), at("assignment.accepted")
    return [
        row.opened_at,
        min(claims),
        max(claims),
        min(results),
        max(results),
        max(at("round.aggregating")),
        closed,
    ]


def show(name: str, reached: Sequence[Sequence[datetime]]) -> float:
    """Print where the time goes; returns the median of the whole."""
    whole = [(each[-1] - each[0]).total_seconds() for each in reached]
    ninth = quantiles(whole, n=10)[-1]
    print(f"{name}: {len(whole)} rounds, median {median(whole):.3f} s, 9 in 10 below {ninth:.3f} s")
    for index, (before, after) in enumerate(pairwise(STEPS)):
        spent = [(each[index + 1] - each[index]).total_seconds() for each in reached]
        print(f"    {before + ' -> ' + after:28} {median(spent):.3f} s")
    return median(whole)


def main() -> None:
    """Print the overhead with and without the broker; exit with 1 if it is over the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=33)
    n_rounds = parser.parse_args().rounds
    medians = {}
    with workplace() as (processes, root):
        files = federation.write(root / "clients", CLIENTS)
        with UntrainedStack(processes, settings(root, files, 2)) as stack, stack.client() as api:
            stack.wait_for_offers()
            print(f"load average before: {load_average()}")
            for name in ("with the broker", "the broker is dead"):
                if name != "with the broker":
                    processes.stop(stack.child("Valkey"))
                job = run_job(api, name, n_rounds + WARM_UP)
                rounds = api.rounds(job)
                medians[name] = show(name, moments(rounds, list(api.events(job))))
            report = api.report(job)
            sent = report.bytes_up / (n_rounds + WARM_UP) / len(CLIENTS)
            print(f"components: {sent / 1e6:.2f} MB from each client in each round")
            print(f"load average after: {load_average()}")
    fast, slow = medians.values()
    print(f"over the limits: {fast > LIMIT_S}, {slow - fast > POLL_S}")
    sys.exit(int(fast > LIMIT_S or slow - fast > POLL_S))


if __name__ == "__main__":
    main()
