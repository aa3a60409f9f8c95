"""The tables of bench/paper, against numbers worked out by hand."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.unit
PAPER = str(Path(__file__).parents[2] / "bench" / "paper")


@pytest.fixture(scope="module")
def tables() -> Iterator[ModuleType]:
    """The module, as its own command imports it."""
    sys.path.insert(0, PAPER)
    try:
        import tables as found  # noqa: PLC0415 - scripts are no package

        yield found
    finally:
        sys.path.remove(PAPER)
        sys.modules.pop("tables", None)


def result(method: str, skills: dict[str, dict[str, float]], seed: int = 41) -> dict[str, Any]:
    """A run in which client c01 has these skills by variant and task."""
    scores = [
        {"client": "c01", "on": "own", "variant": variant, "task": task, "skill": skill}
        for variant, tasks in skills.items()
        for task, skill in tasks.items()
    ]
    return {"run": {"method": method, "seed": seed}, "scores": scores, "decisions": []}


RESULTS = [
    result("fedavg", {"engaged": {"a": 0.1, "b": 0.0}, "post_trained": {"a": 0.4, "b": 0.2}}),
    result("tap", {"personal": {"a": 0.3, "b": 0.1}, "distilled": {"a": 0.5, "b": 0.1}}),
    result("tap", {"personal": {"a": 0.2, "b": 0.2}, "distilled": {"a": 0.7, "b": 0.3}}, 42),
    result("ditto", {"engaged": {"a": 0.0, "b": 0.0}, "personal": {"a": 0.2, "b": 0.3}}),
]


def test_the_rows_of_the_table_are_models_of_runs(tables: ModuleType) -> None:
    rows = tables.rows_of(RESULTS, "own", "c")
    assert set(rows) == {"fedavg", "fedavg+post", "tap", "tap, before stage two", "ditto"}
    assert rows["fedavg+post"] == {("a", "c01", 41): 0.4, ("b", "c01", 41): 0.2}
    assert rows["ditto"] == {("a", "c01", 41): 0.2, ("b", "c01", 41): 0.3}, "what it ends with"
    assert tables.rows_of(RESULTS, "whole", "c") == {}
    assert tables.rows_of(RESULTS, "own", "n") == {}


def test_means_are_over_cells_and_lie_in_their_intervals(tables: ModuleType) -> None:
    found = tables.by_task(tables.rows_of(RESULTS, "own", "c")["tap"])
    assert found["a"].mean == pytest.approx(0.6)
    assert (found["a"].low, found["a"].high) == pytest.approx((0.5, 0.7))
    assert found["a"].n == 2


def test_differences_pair_the_same_client_task_and_seed(tables: ModuleType) -> None:
    rows = tables.rows_of(RESULTS, "own", "c")
    found = tables.differences(rows["fedavg+post"], rows["tap"])
    assert {task: each.mean for task, each in found.items()} == pytest.approx(
        {"a": 0.1, "b": -0.1, "all": 0.0}
    )
    assert found["all"].n == 2, "the other seed has no partner"


def test_equal_rows_share_their_ranks(tables: ModuleType) -> None:
    def row(a: float, b: float) -> Any:
        return {"a": tables.Estimate(a, a, a, 1), "b": tables.Estimate(b, b, b, 1)}

    table = {"x": row(0.5, 0.1), "y": row(0.5, 0.3), "z": row(0.1, 0.2)}
    assert tables.ranks(table) == {"x": 2.25, "y": 1.25, "z": 2.5}


def test_forced_replacements_are_no_chances(tables: ModuleType) -> None:
    def decision(number: int, personal: float | None, *, replaced: bool) -> dict[str, Any]:
        return {"round": number, "personal_loss": personal, "replaced": replaced}

    run = {
        **result("tap", {}),
        "decisions": [
            decision(1, None, replaced=True),
            decision(2, 0.5, replaced=True),
            decision(2, 0.5, replaced=False),
        ],
    }
    assert tables.replacements([run, {**run, "run": {"method": "other"}}]) == {2: (1, 2)}


def test_an_average_of_nothing_is_refused(tables: ModuleType) -> None:
    with pytest.raises(ValueError, match="nothing to average"):
        tables.estimate([])
