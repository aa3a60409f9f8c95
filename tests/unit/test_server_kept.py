"""What is made of a job's rows that never change is made once, and not kept for ever."""

import pytest

from server.kept import _MOST, Kept

pytestmark = pytest.mark.unit


def test_a_value_is_made_once_and_the_number_of_them_is_bounded() -> None:
    kept, made = Kept[int, str](), list[int]()

    def value(key: int) -> str:
        def make() -> str:
            made.append(key)
            return f"value {key}"

        return kept.get(key, make)

    assert [value(1), value(1), value(2)] == ["value 1", "value 1", "value 2"]
    assert made == [1, 2]
    for key in range(10 * _MOST):
        assert value(key) == f"value {key}"
        assert len(kept._found) <= _MOST
