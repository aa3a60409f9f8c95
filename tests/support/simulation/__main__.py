"""`python -m tests.support.simulation --events N --seed S [--record]`: the long form, with figures.

`--episode E` runs that episode alone, to see a violation again.
"""

import sys
from argparse import ArgumentParser
from collections import Counter
from time import perf_counter
from typing import Any

from tests.support.figures import Row, show
from tests.support.simulation.campaign import Campaign, report, run
from tests.support.simulation.episode import Episode


def main() -> None:
    """Run, print the figures, and end with status 1 where an invariant does not hold."""
    parser = ArgumentParser(prog="python -m tests.support.simulation", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--episode", type=int)
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    began = perf_counter()
    if given.episode is not None:
        campaign = Campaign(given.seed)
        campaign.add(Episode(given.seed, given.episode).run())
        show(
            "simulation",
            f"{parser.prog} --seed {given.seed} --episode {given.episode}",
            _figures(campaign, perf_counter() - began),
            record=False,
        )
    else:
        campaign = run(given.seed, given.events)
        command = f"make simulation EVENTS={given.events} SEED={given.seed}"
        rows = _figures(campaign, perf_counter() - began)
        show("simulation", command, rows, record=given.record and campaign.broken is None)
    if campaign.broken is not None:
        sys.exit(report(given.seed, campaign.broken))


def _figures(campaign: Campaign, seconds: float) -> list[Row]:
    events = campaign.events.total()
    violations = 0 if campaign.broken is None else 1
    return [
        ("seed", campaign.seed),
        ("episodes", f"{campaign.episodes:,}"),
        ("events", f"{events:,} in {seconds:.0f} s"),
        ("events by kind", _listed(campaign.events)),
        ("simulated time", f"{campaign.simulated_s / 86400:.1f} days"),
        ("faults", f"{campaign.faults.total():,}"),
        ("faults by kind", _listed(campaign.faults)),
        ("jobs", f"{campaign.jobs.total():,}"),
        ("jobs by their end", _listed(campaign.jobs)),
        ("checks", f"{campaign.checked.total():,}"),
        ("checks by invariant", _listed(campaign.checked)),
        ("violations: lost, counted twice, hung, any other", violations),
        ("hash of the trace", campaign.digest),
    ]


def _listed(counts: Counter[Any]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in counts.most_common())


if __name__ == "__main__":
    main()
