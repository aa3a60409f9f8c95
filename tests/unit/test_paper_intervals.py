"""Intervals of bench/paper: how wide they are, by hand, and how often they miss."""

import math
from collections.abc import Iterator, Sequence
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.bench_paper import script

pytestmark = pytest.mark.unit
Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def intervals() -> Iterator[ModuleType]:
    with script("intervals") as found:
        yield found


def one_each(values: Sequence[float]) -> tuple[Array, Array, Array]:
    """Clients with one value at one task."""
    column = np.array([values]).T
    return column, np.ones_like(column), np.ones(1)


def test_an_interval_that_excludes_nothing_has_no_sign(intervals: ModuleType) -> None:
    signs = [
        intervals.Estimate(0.0, low, high, 6).sign for low, high in ((-1, 1), (0.1, 1), (-1, -0.1))
    ]
    assert signs == [0, 1, -1]
    assert intervals.Estimate(0.0, 0.0, 0.0, 6).sign == 0
    assert intervals.Estimate(0.1, 0.1, 0.1, 9, units=5).sign == 0, "too few to say so"


def test_a_seed_that_points_the_other_way_takes_the_sign(intervals: ModuleType) -> None:
    def sign(*seeds: float) -> int:
        found: int = intervals.Estimate(0.2, 0.1, 0.3, 9, seeds=seeds).sign
        return found

    assert [sign(0.1, 0.3), sign(0.3, -0.1), sign(0.3, 0.0)] == [1, 0, 0]
    assert intervals.Estimate(-0.2, -0.3, -0.1, 9, seeds=(-0.1, -0.3)).sign == -1


def test_seeds_alone_are_student_s(intervals: ModuleType) -> None:
    found = intervals.over_seeds((1.0, 2.0, 3.0))
    half = 4.302653 / math.sqrt(3)  # two degrees of freedom
    assert (found.mean, found.n) == (2.0, 3)
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half))
    assert intervals.over_seeds((1.0, 2.0)) is None


def test_what_clients_of_a_seed_have_in_common_is_seen_by_seeds(intervals: ModuleType) -> None:
    """Four seeds that move all of their clients: an interval over clients is far too narrow."""
    chance, n = np.random.default_rng(7), 300
    wrong = {"clients": 0, "seeds": 0}
    for _ in range(n):
        common = chance.normal(size=4)
        values = common.repeat(30) + 0.5 * chance.normal(size=120)
        ones = np.ones((120, 1))
        found = intervals.estimated(values[:, None], ones, np.ones(1))
        wrong["clients"] += not found.low < 0 < found.high
        seeds = intervals.over_seeds(values.reshape(4, 30).mean(axis=1))
        wrong["seeds"] += not seeds.low < 0 < seeds.high
    assert wrong["clients"] > n / 2
    assert wrong["seeds"] / n == pytest.approx(0.05, abs=2.5 * math.sqrt(0.05 * 0.95 / n))


def test_a_few_clients_interval_is_as_wide_as_student_s(intervals: ModuleType) -> None:
    values = [float(n) for n in range(12)]
    found = intervals.estimated(*one_each(values))
    error = math.sqrt(13.0 / 12)  # the variance of 0 to 11 is 13
    assert found.mean == 5.5
    student = 2.201 * error  # with 11 degrees of freedom
    assert found.high - found.mean == pytest.approx(student, rel=0.05)
    assert found.mean - found.low == pytest.approx(student, rel=0.05)


def test_clients_are_drawn_among_those_of_the_same_tasks(intervals: ModuleType) -> None:
    sums = np.array([[1.0, 0.0]] * 6 + [[0.0, 5.0]] * 6)
    counts = (sums > 0).astype(float)
    half = np.array([0.5, 0.5])
    found = intervals.estimated(sums, counts, half)
    assert (found.low, found.mean, found.high) == (3, 3, 3), "nobody differs from those alike"
    sums[0, 0], sums[6, 1] = 7.0, 11.0
    both = intervals.estimated(sums, counts, half)
    one = intervals.estimated(*one_each([7.0] + [1.0] * 5))
    assert both.mean == 4
    assert both.high - both.low == pytest.approx((one.high - one.low) / math.sqrt(2), rel=0.25)


def test_who_has_nobody_alike_is_drawn_among_such(intervals: ModuleType) -> None:
    counts = np.array([[1.0, 0.0]] * 5 + [[1.0, 1.0], [0.0, 1.0]])
    sums = counts * [[1], [2], [3], [4], [5], [6], [7]]
    found = intervals.estimated(sums, counts, np.array([0.5, 0.5]))
    assert found.low < found.mean < found.high
    lonely = intervals.estimated(sums[:6], counts[:6], np.array([1.0, 0.0]))
    assert lonely.low < lonely.mean < lonely.high


# How many clients have which of eight tasks, as in the paper's federation of ten patterns.
PATTERNS = ((0,), (1,), (1,), (2,), (3,), (3,), (4,), (5, 1), (6, 7), (6, 2))
SPREADS = np.array([0.07, 0.08, 0.01, 0.08, 0.01, 0.14, 0.04, 0.03])


def test_where_nothing_is_there_one_in_twenty_excludes_it(intervals: ModuleType) -> None:
    counts = np.zeros((30, 8))
    for client, has in enumerate(counts):
        has[list(PATTERNS[client % 10])] = 1
    chance, n = np.random.default_rng(7), 300
    wrong = 0
    for _ in range(n):
        sums = counts * chance.normal(size=counts.shape) * SPREADS
        found = intervals.estimated(sums, counts, np.full(8, 1 / 8))
        wrong += found.sign != 0
    assert wrong / n == pytest.approx(0.05, abs=2.5 * math.sqrt(0.05 * 0.95 / n))
