"""The slope of the leak test: hand-computed, robust, and not blind."""

from random import Random

import pytest

from tests.chaos.slope import Slope, slope

pytestmark = pytest.mark.unit


def test_a_straight_line_has_its_slope() -> None:
    assert slope([0, 2, 4, 6, 8]) == Slope(2, 2, 2)


def test_what_does_not_move_has_none() -> None:
    assert slope([7] * 10) == Slope(0, 0, 0)


def test_the_median_of_all_pairs_by_hand() -> None:
    # 1, 3/2, 4/3, 5/4 from the first; 2, 3/2, 4/3 from the second; 1, 1, 1 among the others
    assert slope([0, 1, 3, 4, 5]).value == pytest.approx((4 / 3 + 5 / 4) / 2)


def test_one_odd_value_hardly_moves_it() -> None:
    assert abs(slope([0.0, 0, 0, 1000, 0, 0, 0, 0, 0, 0]).value) == 0


def test_a_leak_below_the_noise_is_found() -> None:
    draw = Random(1)  # noqa: S311 - noise
    found = slope([30 * i + draw.uniform(-200, 200) for i in range(30)])
    assert found.low > 0
    assert found.low < 30 < found.high


def test_a_few_values_are_refused() -> None:
    with pytest.raises(ValueError, match="five"):
        slope([1, 2, 3, 4])
