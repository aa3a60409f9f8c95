"""A short form of `make leaks`: no process holds more after each round."""

import pytest

from tests.chaos import leaks
from tests.support.figures import show

pytestmark = [pytest.mark.chaos, pytest.mark.long, pytest.mark.timeout(600)]
ROUNDS, WARM_UP = 12, 25  # what a process takes once, it has taken by then
A_VERSION_KB = 100


def test_no_process_grows_with_the_rounds() -> None:
    found = leaks.measure(ROUNDS, WARM_UP)
    show(
        "leaks",
        f"make leaks ROUNDS={ROUNDS}",
        list(leaks.rows(found, ROUNDS, WARM_UP)),
        record=False,
    )
    assert {each.process for each in found} >= {"api", "coordinator", "worker-1", "postgres"}
    # So few rounds show what surely grows, and a leak of a version a round, not one of some kB.
    assert [e for e in found if e.quantity != "RSS, kB" and e.slope.low > 0] == []
    assert [e for e in found if e.quantity == "RSS, kB" and e.slope.low > A_VERSION_KB] == []
