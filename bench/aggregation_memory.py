"""Server memory while a component is averaged: flat in the number of contributors.

`make bench` runs it. Each case runs in a process of its own, which reports its peak resident memory
above that of a process which has imported the same code and averaged a tiny component.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from server.aggregation import Contribution, aggregate
from server.aggregation.norms import change_norm
from shared.artifacts import ArtifactStore
from shared.messages import ComponentSpec, TensorSpec
from shared.tensor_file import component_layout

LIMIT_FACTOR = 1.2  # of the largest component, beside the constant of a tiny one


def contribute(store: ArtifactStore, spec: ComponentSpec, seed: int) -> Contribution:
    """One contributor's file of random values, written piece by piece."""
    draw = np.random.default_rng(seed)
    layout = component_layout(spec)
    n_values = (layout.n_bytes - len(layout.header)) // 4

    def pieces() -> Iterator[bytes]:
        yield layout.header
        for start in range(0, n_values, 1 << 18):
            yield draw.standard_normal(min(1 << 18, n_values - start), dtype=np.float32).tobytes()

    return Contribution(f"c{seed:03}", store.write(pieces()), float(seed + 1))


def peak_bytes(megabytes: float, contributors: int, distinct: int, root: str) -> tuple[int, float]:
    """Peak resident memory of this process after one aggregation, and its seconds.

    With the norm of each contribution's change, as the coordinator does it.
    """
    store = ArtifactStore(Path(root))
    spec = ComponentSpec(tensors={"w": TensorSpec(shape=(int(megabytes * 2**18),))})
    files = [contribute(store, spec, seed) for seed in range(distinct)]
    given = [
        Contribution(f"c{i:03}", files[i % distinct].sha256, i + 1.0) for i in range(contributors)
    ]
    started = time.perf_counter()
    for share in given:
        change_norm(share.sha256, files[0].sha256, spec, store)
    aggregate(given, spec, store)
    seconds = time.perf_counter() - started
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, seconds


def main() -> None:
    """Print the memory of each case; exit with 1 if it is over the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=64)
    size = parser.parse_args().megabytes
    peaks = {}
    for megabytes, contributors in ((0.01, 4), (size, 4), (size, 64)):
        with (
            tempfile.TemporaryDirectory() as root,
            ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        ):
            # 64 contributors read 8 distinct files, each through a handle of its own
            case = (megabytes, contributors, min(contributors, 8), root)
            peaks[contributors, megabytes], seconds = pool.submit(peak_bytes, *case).result()
        peak = peaks[contributors, megabytes] / 2**20
        what = f"{contributors:3} contributors of {megabytes:6} MiB"
        print(f"{what}: peak {peak:7.1f} MiB, {seconds:.2f} s")
    constant = peaks[4, 0.01]
    over = {n: (peaks[n, size] - constant) / (size * 2**20) for n in (4, 64)}
    print(
        "above the constant, as a share of the component: "
        + ", ".join(f"{n}: {s:.3f}" for n, s in over.items())
    )
    sys.exit(int(max(over.values()) > LIMIT_FACTOR))


if __name__ == "__main__":
    main()
