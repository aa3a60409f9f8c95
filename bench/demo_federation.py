"""Does TAP help on the demonstration's federation? Many rounds, several seeds, equal budgets.

`make bench-demo` runs it. Each seed needs two jobs, `tap` and `local`, in one process each by
examples/simulate.py, which gives the service's bits. The columns of `fedavg` come from the job
`tap`: its engaged models and its teacher are, bit for bit, those of a `fedavg` job of the same
seed, and its post-training (tests/unit/test_algorithm.py shows it).

Settings are chosen by validation scores: test scores are printed and kept only with `--test`.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "examples")]

COLUMNS = {
    "local": ("local", "post_trained"),
    "fedavg": ("tap", "engaged"),
    "fedavg + post": ("tap", "post_trained"),
    "tap before distillation": ("tap", "personal"),
    "tap": ("tap", "distilled"),
}


Split = Literal["validation", "test"]


def run_job(
    algorithm: str,
    seed: int,
    changes: Mapping[str, Any],
    clients: Path,
    splits: tuple[Split, ...],
) -> dict[str, Any]:
    """One job by the simulation; its scores as plain values."""
    import simulate

    from shared.artifacts import ArtifactStore
    from shared.job_spec import JobSpec
    from shared.spec_files import load
    from worker.data.client_file import ClientFile

    spec = load(JobSpec, ROOT / "examples" / "demo" / f"{algorithm}.yaml")
    spec = JobSpec.model_validate(_merged(spec.model_dump(mode="json"), {**changes, "seed": seed}))
    files = [ClientFile.read(clients / name / "client.yaml") for name in spec.clients]
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        job = simulate.run(spec, files, ArtifactStore(Path(directory), durable=False))
    plain: dict[str, Any] = {
        split: {
            client: {
                str(v): {t: s.model_dump() for t, s in tasks.items()} for v, tasks in by.items()
            }
            for client, by in scores.items()
        }
        for split, scores in (("test", job.scores), ("validation", job.validation))
        if split in splits
    }
    replaced = [[n, c, d.task, d.replaced] for n, c, d in job.decisions]
    return {**plain, "decisions": replaced, "seconds": time.monotonic() - started}


def _merged(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the nested `changes` laid over it."""
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(base.get(key), dict)
        base[key] = _merged(base[key], value) if nested else value
    return base


def rows(results: Mapping[str, Any], split: str) -> Iterator[tuple[str, str, str, float, float]]:
    """(client, task, column, skill, value) of one seed."""
    for column, (algorithm, variant) in COLUMNS.items():
        for client, variants in results[algorithm][split].items():
            for task, score in variants[variant].items():
                yield client, task, column, score["skill"], score["value"]


Cells = dict[tuple[str, str], dict[str, list[float]]]
"""Of each client and task, by column: the skill with each seed."""


def cells(by_seed: Mapping[int, Mapping[str, Any]], split: str) -> Cells:
    """All skills of a split."""
    found: Cells = defaultdict(lambda: defaultdict(list))
    for results in by_seed.values():
        for client, task, column, skill, _ in rows(results, split):
            found[client, task][column].append(skill)
    return dict(sorted(found.items()))


def table(found: Cells, seeds: Iterable[int], split: str) -> str:
    """Mean skill over the seeds per client and task, and the averages of each seed."""
    lines = [f"{'skill, ' + split:24}" + "".join(f"{c:>25}" for c in COLUMNS)]
    for (client, task), columns in found.items():
        means = (sum(columns[c]) / len(columns[c]) for c in COLUMNS)
        lines.append(f"{client + ' ' + task:24}" + "".join(f"{m:25.3f}" for m in means))
    for index, seed in enumerate(seeds):
        means = (sum(c[name][index] for c in found.values()) / len(found) for name in COLUMNS)
        lines.append(f"{f'average, seed {seed}':24}" + "".join(f"{m:25.3f}" for m in means))
    return "\n".join(lines)


def gains(found: Cells) -> str:
    """How far `tap` is ahead: means, with 95 % bootstrap intervals over clients and tasks."""
    lines = []
    for column in [name for name in COLUMNS if name != "tap"]:
        pairs = [np.subtract(columns["tap"], columns[column]) for columns in found.values()]
        each = np.array(pairs)  # (cells, seeds)
        draws = np.random.default_rng(0).integers(len(each), size=(10_000, len(each)))
        low, high = np.quantile(each.mean(1)[draws].mean(1), (0.025, 0.975))
        seeds = " ".join(f"{gain:+.3f}" for gain in each.mean(0))
        lines.append(
            f"tap - {column:24} {each.mean():+.3f} [{low:+.3f}, {high:+.3f}], by seed {seeds}"
        )
    return "\n".join(lines)


def main() -> None:
    """Run all jobs, two at a time, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clients", type=Path, help="directory of prepared clients")
    parser.add_argument("--seeds", default="41,42,43")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--post-steps", type=int, default=30)
    parser.add_argument("--changes", default="{}", help="JSON laid over the job specs")
    parser.add_argument("--test", action="store_true", help="show the test scores as well")
    parser.add_argument("--out", type=Path, default=None, help="where to keep the results")
    arguments = parser.parse_args()
    budget = {"rounds": {"count": arguments.rounds}, "post": {"steps": arguments.post_steps}}
    changes = _merged(budget, json.loads(arguments.changes))
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    splits: tuple[Split, ...] = ("validation", "test") if arguments.test else ("validation",)
    with ProcessPoolExecutor(max_workers=2) as pool:
        jobs = {
            (seed, name): pool.submit(run_job, name, seed, changes, arguments.clients, splits)
            for name in ("tap", "local")
            for seed in seeds
        }
        by_seed = {s: {n: jobs[s, n].result() for n in ("tap", "local")} for s in seeds}
    for split in splits:
        found = cells(by_seed, split)
        print(table(found, seeds, split), gains(found), sep="\n\n", end="\n\n")
    for seed, results in by_seed.items():
        chances = results["tap"]["decisions"]
        print(f"seed {seed}: {sum(d[3] for d in chances)} of {len(chances)} decisions replaced")
    if arguments.out:
        arguments.out.write_text(json.dumps(by_seed, indent=1))


if __name__ == "__main__":
    main()
