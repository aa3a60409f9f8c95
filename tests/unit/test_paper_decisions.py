"""The counts of replacements in bench/paper, against numbers worked out by hand."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.support.bench_paper import script

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def decisions() -> Iterator[ModuleType]:
    with script("decisions") as found:
        yield found


def decision(
    number: int, personal: float | None, task: str, *, replaced: bool, client: str = "c00"
) -> dict[str, Any]:
    said = {"personal_loss": personal, "replaced": replaced}
    return {"round": number, "client": client, "task": task, **said}


def of_rounds(count: int) -> dict[str, Any]:
    made = [
        decision(1, None, "a", replaced=True),
        decision(2, 0.5, "a", replaced=True),
        decision(2, 0.5, "b", replaced=False),
        decision(6, None, "b", replaced=True),
        decision(6, 0.5, "a", replaced=False),
    ]
    return {"spec": {"rounds": {"count": count}}, "decisions": made}


def test_forced_replacements_are_no_chances(decisions: ModuleType) -> None:
    found = decisions.by_round([of_rounds(6), of_rounds(6)])
    assert found == {
        1: decisions.Count(forced=2),
        2: decisions.Count(chances=4, taken=2),
        6: decisions.Count(forced=2, chances=2),
    }
    assert [each.rate for each in found.values()] == [None, 0.5, 0.0]


def test_each_task_has_its_own(decisions: ModuleType) -> None:
    assert decisions.by_task([of_rounds(6)]) == {
        "a": decisions.Count(1, 2, 1),
        "b": decisions.Count(1, 1, 0),
    }


def test_thirds_are_of_the_jobs_rounds_and_not_of_those_with_decisions(
    decisions: ModuleType,
) -> None:
    assert decisions.by_period([of_rounds(6), of_rounds(60)]) == {
        "all rounds": decisions.Count(4, 6, 2),
        "first third": decisions.Count(3, 5, 2),
        "last third": decisions.Count(1, 1, 0),
    }


def test_what_falls_off_has_an_interval_over_clients(decisions: ModuleType) -> None:
    def run(seed: int, late: int) -> dict[str, Any]:
        """Six clients who take all chances of round 1, and `late` of them that of round 6."""
        made = [
            decision(number, 0.5, "a", replaced=number == 1 or n < late, client=f"c{n}")
            for n in range(6)
            for number in (1, 3, 6)
        ]
        return {"run": {"seed": seed}, "spec": {"rounds": {"count": 6}}, "decisions": made}

    every = decisions.fall([run(41, 0)])
    assert (every.mean, every.low, every.high, every.n, every.units) == (1, 1, 1, 12, 6)
    some = decisions.fall([run(41, 2), run(42, 4)])
    assert some.mean == pytest.approx(0.5)
    assert 0 < some.low < some.mean < some.high < 1
    assert some.units == 12, "a client under two seeds is two"


def test_without_chances_in_both_thirds_nothing_falls(decisions: ModuleType) -> None:
    early = decision(1, 0.5, "a", replaced=True)
    late = decision(6, None, "a", replaced=True)
    run = {"run": {"seed": 41}, "spec": {"rounds": {"count": 6}}, "decisions": [early, late]}
    assert decisions.fall([run]) is None
    assert decisions.fall([]) is None
