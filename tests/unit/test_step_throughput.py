"""The benchmark of the training loop runs, and both of its sides do the same work."""

import pytest
import torch

from bench import step_throughput as bench

pytestmark = pytest.mark.unit


def test_both_loops_end_at_the_same_place() -> None:
    at = bench.client("flava-small", "full")
    start, stream = at.network.state(), [next(bench.drawn(at))]
    ends = []
    for run in (lambda: bench.tapestry(at, 1), lambda: bench.plain(at, stream)):
        assert bench.seconds(at, start, run) > 0
        ends.append(at.network.state())
    ours, by_hand = ends
    moved = [float((ours[n][t] - start[n][t]).abs().sum()) for n in start for t in start[n]]
    apart = [float((ours[n][t] - by_hand[n][t]).abs().sum()) for n in start for t in start[n]]
    assert sum(apart) < 0.01 * sum(moved)
    assert torch.get_num_threads() == 1


def test_a_measurement_has_a_ratio_and_its_spread() -> None:
    found = bench.measured("vilt-small", "lora", repeats=2, steps=1)
    assert 0 < float(found["lowest"]) <= float(found["ratio"]) <= float(found["highest"])
