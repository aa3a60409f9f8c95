"""Server memory while a component is averaged: flat in the number of contributors.

Beside the seconds of the average stand those of hashing the same files once, which is the least
that noticing damage takes, and those of checking one as an upload with and without its norm.

`make bench` runs it. Each case runs in a process of its own, which reports its peak resident memory
above that of a process which has imported the same code and averaged a tiny component.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from server.aggregation import Contribution, aggregate
from server.aggregation.files import open_component
from server.aggregation.norms import Change
from server.updates.validation import validate
from shared.artifacts import ArtifactStore, file_digest
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


@dataclass(frozen=True)
class Figures:
    """What one case took: bytes at the peak, and seconds."""

    peak: int
    average_s: float
    hashing_s: float
    check_s: float
    check_with_norm_s: float


def measure(megabytes: float, contributors: int, distinct: int, root: str) -> Figures:
    """One case, in the process that it runs in."""
    store = ArtifactStore(Path(root))
    spec = ComponentSpec(tensors={"w": TensorSpec(shape=(int(megabytes * 2**18),))})
    files = [contribute(store, spec, seed) for seed in range(distinct)]
    given = [
        Contribution(f"c{i:03}", files[i % distinct].sha256, i + 1.0) for i in range(contributors)
    ]
    return Figures(
        average_s=seconds(lambda: aggregate(given, spec, store)),
        hashing_s=seconds(lambda: [file_digest(store.path(share.sha256)) for share in given]),
        check_s=seconds(lambda: check(store, spec, files[-1].sha256)),
        check_with_norm_s=seconds(lambda: check(store, spec, files[-1].sha256, files[0].sha256)),
        peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )


def seconds(call: Callable[[], object]) -> float:
    """How long the call took."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def check(store: ArtifactStore, spec: ComponentSpec, sha256: str, base: str | None = None) -> None:
    """Check a file as an upload, with the norm of its change from `base` if one is given."""
    with ExitStack() as stack:
        file = stack.enter_context(store.path(sha256).open("rb"))
        change = None
        if base is not None:
            change = Change(
                stack.enter_context(open_component(store, base, component_layout(spec)))
            )
        validate(file, "w", spec, sha256, change)


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
            found = pool.submit(measure, *case).result()
        peaks[contributors, megabytes] = found.peak
        print(
            f"{contributors:3} contributors of {megabytes:6} MiB: peak {found.peak / 2**20:7.1f} "
            f"MiB, average {found.average_s:.2f} s, hashing them once {found.hashing_s:.2f} s; one "
            f"upload's check {found.check_s:.3f} s, with its norm {found.check_with_norm_s:.3f} s"
        )
    constant = peaks[4, 0.01]
    over = {n: (peaks[n, size] - constant) / (size * 2**20) for n in (4, 64)}
    print(
        "above the constant, as a share of the component: "
        + ", ".join(f"{n}: {s:.3f}" for n, s in over.items())
    )
    sys.exit(int(max(over.values()) > LIMIT_FACTOR))


if __name__ == "__main__":
    main()
