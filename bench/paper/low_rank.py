"""How far what each rule makes of low-rank pairs is from the mean of their products.

`python bench/paper/low_rank.py --family flava`: a FedAvg job of the small scale, averaged by its
factors. What a round's clients sent of a component is then given to every rule, so that all of them
are measured on the same pairs: |mean(BA) - B^A^| / |mean(BA)| over a component's pairs
(server.aggregation.factors), by kinds of components.
"""

import argparse
import json
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import paper  # first: by it the examples are found
from grid import SCALES, Run
from processes import Order
from provenance import commit
from results import machine
from simulate import Run as Job
from simulate import federate, make_client

from server.aggregation import Contribution, aggregate
from shared.aggregation_spec import LowRankAggregation
from shared.artifacts import ArtifactStore
from shared.job_spec import JobSpec
from worker.artifacts import catalogue
from worker.data.client_file import ClientFile
from worker.models.base import load_base

RULES: tuple[LowRankAggregation, ...] = ("factors", "flora_na", "svd")
Errors = dict[str, float]  # by rule
Found = dict[str, list[Errors]]  # by kind of component


def measure(spec: JobSpec, federation: Path, scratch: Path) -> Found:
    """The errors of each round and component that several clients sent, round by round."""
    base, store = load_base(spec.model), ArtifactStore(scratch, durable=False)
    clients = {
        name: make_client(spec, ClientFile.read(federation / name / "client.yaml"), base)
        for name in spec.clients
    }
    job = federate(spec, clients, store)
    specs = {
        name: each
        for client in clients.values()
        for name, each in catalogue(client.trainer.network).components.items()
    }
    found: Found = defaultdict(list)
    for component, given in _shared(job):
        errors = {
            rule: aggregate(given, specs[component], store, rule).relative_error for rule in RULES
        }
        found[_kind(component)] += [{r: round(e, 6) for r, e in errors.items() if e is not None}]
    return {kind: of for kind, of in found.items() if of[0]}


def _shared(job: Job) -> Iterator[tuple[str, list[Contribution]]]:
    """What was averaged out of several: each component, with what clients sent of it."""
    sent: Mapping[tuple[int, str], list[Contribution]] = defaultdict(list)
    for number, component, given in job.sent:
        sent[number, component].append(given)
    return ((component, given) for (_, component), given in sent.items() if len(given) > 1)


def _kind(component: str) -> str:
    """`encoder.image` and `mote`, `mome` of all tasks."""
    return component if component.startswith("encoder") else component.split(".", maxsplit=1)[0]


def table(found: Found) -> Iterator[str]:
    """Of each rule, by kind: the median, that of the first tenth, and the largest."""
    yield "| components | averages | " + " | ".join(RULES) + " |"
    yield "|---|---|" + "---|" * len(RULES)
    for kind, errors in sorted(found.items()):
        cells = []
        for rule in RULES:
            values = [of[rule] for of in errors]
            middle, first = map(statistics.median, (values, values[: len(values) // 10 or 1]))
            cells.append(f"{middle:.3f} (first tenth {first:.3f}, at most {max(values):.3f})")
        yield f"| {kind} | {len(errors)} | " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table, and keep what it is made of."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", choices=["flava", "vilt"], default="flava")
    parser.add_argument("--seed", type=int, default=41)
    parser.add_argument("--rounds", type=int, help="fewer than the small scale's")
    parser.add_argument("--out", type=Path, help="a JSON file for all errors")
    parser.add_argument("--cache", type=Path, default=paper.ROOT / ".tapestry/cache")
    options = parser.parse_args()
    now, run = commit(), Run("fedavg", options.family, options.seed)
    spec = run.spec(SCALES["small"])
    if options.rounds:
        rounds = spec.rounds.model_copy(update={"count": options.rounds})
        spec = spec.model_copy(update={"rounds": rounds})
    with tempfile.TemporaryDirectory(prefix="tapestry-low-rank-") as scratch:
        order = Order(options.cache.resolve(), Path(scratch), "cpu", Path(scratch) / "memory")
        found = measure(spec, order.clients(run.division), Path(scratch) / "artifacts")
    print("\n".join(table(found)))
    if options.out:
        command = f"python bench/paper/low_rank.py --family {run.family} --seed {run.seed}"
        made = {"commit": now, "command": command, "machine": machine()}
        options.out.write_text(json.dumps({**made, "rounds": spec.rounds.count, **found}) + "\n")


if __name__ == "__main__":
    main()
