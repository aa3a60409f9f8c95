"""What making one of low-rank pairs costs the server, beside a mean of as many bytes.

Components of the paper's FLAVA: the image encoder's LoRA and one expert's (ALGORITHM 4), from 2 and
from 30 clients. Each case runs in a process of its own, which reports its peak resident memory.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.aggregation_memory import contribute
from server.aggregation import aggregate
from shared.aggregation_spec import LowRankAggregation
from shared.artifacts import ArtifactStore
from shared.messages import ComponentSpec, TensorSpec

Kind = Literal["mean", "factors", "svd", "flora_na"]
# rank, inputs, outputs, and how many pairs of each shape
COMPONENTS = {
    "encoder": (8, ((768, 768, 24),)),
    "expert": (4, ((768, 3072, 1), (3072, 768, 1))),
}


def spec_of(component: str, *, paired: bool) -> ComponentSpec:
    """Its tensors; under names that make no pairs where none are wanted."""
    rank, shapes = COMPONENTS[component]
    tensors, number = {}, 0
    for inputs, outputs, count in shapes:
        for _ in range(count):
            a, b = (f"{number:02}.a", f"{number:02}.b") if paired else (f"{number}x", f"{number}y")
            tensors[a] = TensorSpec(shape=(rank, inputs))
            tensors[b] = TensorSpec(shape=(outputs, rank))
            number += 1
    return ComponentSpec(tensors=tensors)


def measure(component: str, clients: int, kind: Kind, root: str) -> tuple[float, int]:
    """Seconds of the average, the best of three, and the process's peak in bytes."""
    store = ArtifactStore(Path(root), durable=False)
    spec = spec_of(component, paired=kind != "mean")
    given = [contribute(store, spec, seed) for seed in range(clients)]
    low_rank: LowRankAggregation = "factors" if kind == "mean" else kind
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        aggregate(given, spec, store, low_rank)
        taken.append(time.perf_counter() - began)
    return min(taken), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the coordinator has it: more of them spin
    kinds: tuple[Kind, ...] = ("mean", "factors", "svd", "flora_na")
    for component in COMPONENTS:
        for clients in (2, 30):
            found = {}
            for kind in kinds:
                with (
                    tempfile.TemporaryDirectory() as root,
                    ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
                ):
                    case = (component, clients, kind, root)
                    found[kind] = pool.submit(measure, *case).result()
            mean, least = found["mean"]
            said = ", ".join(
                f"{kind} {s / mean:.1f} times, {(peak - least) / 2**20:+.1f} MiB"
                for kind, (s, peak) in found.items()
            )
            print(f"{component} of {clients:2} clients, mean {mean * 1000:.1f} ms: {said}")


if __name__ == "__main__":
    main()
