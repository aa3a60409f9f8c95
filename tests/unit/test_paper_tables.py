"""The tables of bench/paper, against numbers worked out by hand."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.support.bench_paper import script

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def tables() -> Iterator[ModuleType]:
    with script("tables") as found:
        yield found


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
    assert found["a"].n == found["a"].units == 2
    assert found["a"].few
    assert found["a"].low == found["a"].high == found["a"].mean, "two have no interval"


def test_six_clients_have_an_interval_and_five_have_none(tables: ModuleType) -> None:
    cells = {("a", f"c{n}", 41): 0.1 * n for n in range(1, 7)}
    found = tables.over_tasks(cells)
    assert 0.1 < found.low < found.mean < found.high < 0.6
    assert found.mean == pytest.approx(0.35)
    assert found.sign == 1
    del cells["a", "c6", 41]
    assert tables.over_tasks(cells).sign == 0


def test_a_client_is_drawn_with_all_of_its_tasks(tables: ModuleType) -> None:
    def cells(of_b: Any) -> Any:
        draw = {("a", f"c{n}", 41): float(n % 2) for n in range(40)}
        return draw | {("b", f"c{n}", 41): float(of_b(n) % 2) for n in range(40)}

    alike, opposite = (
        tables.over_tasks(cells(lambda n: n)),
        tables.over_tasks(cells(lambda n: n + 1)),
    )
    alone = tables.by_task(cells(lambda n: n))["a"]
    assert (alike.low, alike.high) == pytest.approx((alone.low, alone.high)), "nothing is new"
    assert (opposite.low, opposite.high) == pytest.approx((0.5, 0.5)), "each client has both"


def test_differences_pair_the_same_client_task_and_seed(tables: ModuleType) -> None:
    rows = tables.rows_of(RESULTS, "own", "c")
    found = tables.differences(rows["fedavg+post"], rows["tap"])
    assert {task: each.mean for task, each in found.items()} == pytest.approx(
        {"a": 0.1, "b": -0.1, "all": 0.0}
    )
    assert found["all"].n == 2, "the other seed has no partner"


def test_a_mean_over_tasks_counts_each_task_alike(tables: ModuleType) -> None:
    cells = {
        ("a", "c01", 41): 0.9,
        ("a", "c02", 41): 0.7,
        ("a", "c03", 42): 0.8,
        ("b", "c01", 41): 0.2,
    }
    found = tables.over_tasks(cells)
    assert found.mean == pytest.approx((0.8 + 0.2) / 2)
    assert (found.n, found.units) == (4, 3)
    assert tables.by_seed(cells) == pytest.approx({41: (0.8 + 0.2) / 2, 42: 0.8})


def test_a_task_that_few_clients_have_does_not_come_and_go(tables: ModuleType) -> None:
    cells = {("a", f"c{n}", 41): 0.1 for n in range(20)} | {("rare", "c20", 41): 0.9}
    found = tables.over_tasks(cells)
    assert found.mean == pytest.approx(0.5)
    assert (found.low, found.high) == pytest.approx((0.5, 0.5)), "no client lies apart"


def test_equal_rows_share_their_ranks(tables: ModuleType) -> None:
    def row(a: float, b: float) -> Any:
        return {("a", "c01", 41): a, ("b", "c01", 41): b}

    rows = {"x": row(0.5, 0.1), "y": row(0.5, 0.3), "z": row(0.1, 0.2)}
    assert tables.ranks(rows) == {"x": 2.25, "y": 1.25, "z": 2.5}
    more = {**rows, "z": {**rows["z"], ("a", "c01", 42): 0.9}}
    assert tables.ranks(more) == tables.ranks(rows), "the others have no such seed"
    assert tables.ranks({**rows, "w": {("a", "c01", 42): 0.9}}) == {}


def test_the_guarded_model_is_a_row_and_the_local_engaged_is_none(tables: ModuleType) -> None:
    guarded = result("tap", {"distilled": {"a": 0.1}, "guarded": {"a": 0.2}})
    alone = result("local", {"engaged": {"a": 0.3}, "post_trained": {"a": 0.4}})
    plain = result("tap-plain", {"engaged": {"a": 0.3}, "personal": {"a": 0.5}})
    rows = tables.rows_of([guarded, alone, plain], "own", "c")
    cell = ("a", "c01", 41)
    assert list(rows) == ["local", "tap", "tap+guard", "tap-plain"], "the paper's first"
    assert [rows[name][cell] for name in rows] == [0.4, 0.1, 0.2, 0.5]


def test_runs_that_depart_from_the_papers_federation_are_chosen_by_name(tables: ModuleType) -> None:
    plain: dict[str, Any] = {
        "method": "tap",
        "family": "vilt",
        "alpha": None,
        "margin": None,
        "k": None,
        "alone": None,
    }
    departures: list[dict[str, Any]] = [
        {},
        {"margin": 0.5},
        {"margin": 0.0},
        {"k": 3},
        {"alone": 3},
        {"alpha": 0.1},
    ]
    results = [{"run": {**plain, **each}} for each in departures]
    assert tables.chosen(results, family="vilt") == results[:1]
    assert tables.chosen(results, method="tap", margin=0.5) == results[1:2]
    assert tables.chosen(results, alone=3) == results[4:5]
    assert tables.chosen(results, family="flava") == []
    assert tables.values_of(results, "vilt", "margin") == [0.0, 0.5]
    assert tables.values_of(results, "flava", "margin") == []


def test_the_servers_model_is_what_participants_have_of_it_on_whole_test_sets(
    tables: ModuleType,
) -> None:
    run = result("fedavg", {"engaged": {"a": 0.4}, "post_trained": {"a": 0.6}})
    (engaged, post) = run["scores"]
    whole = [{**score, "on": "whole"} for score in (engaged, post)]
    others = [{**whole[0], "client": "n0"}, {**whole[0], "client": "c02", "skill": 0.5}]
    scores = [engaged, post, *whole, *others]
    found = tables.server_cells([{**run, "scores": scores}])
    assert found == pytest.approx({("a", "server", 41): 0.45}), "one model, one cell"


def test_gains_go_from_the_greatest_to_the_least(tables: ModuleType) -> None:
    local = {
        ("a", "c01", 41): 0.2,
        ("a", "c01", 42): 0.2,
        ("a", "c02", 41): 0.5,
        ("b", "c02", 41): 0.5,
    }
    tap = {
        ("a", "c01", 41): 0.1,
        ("a", "c01", 42): 0.25,
        ("a", "c02", 41): 0.4,
        ("b", "c02", 41): 0.52,
    }
    found = tables.gains(tap, local)
    assert list(found) == [("c02", "b"), ("c01", "a"), ("c02", "a")]
    of_c01 = found["c01", "a"]
    assert (of_c01.mean, of_c01.low, of_c01.high, of_c01.n) == pytest.approx(
        (-0.025, -0.1, 0.05, 2)
    )
    assert tables.verdicts(found.values()) == {"helped": 0, "hurt": 2, "neither": 1}, "0.02 is none"


def run_of(method: str, seed: int, steps: int, up: int) -> dict[str, Any]:
    taken = {"optimizer_steps": steps, "samples": 8 * steps, "bytes_up": up, "bytes_down": 10}
    return {"run": {"method": method, "seed": seed}, "seconds": 2.0, "cpu_seconds": 2.0, **taken}


def test_budgets_are_means_and_their_ratios_are_of_the_same_seeds(tables: ModuleType) -> None:
    runs = [run_of("tap", 41, 100, 8), run_of("fedavg", 41, 50, 4), run_of("fedavg", 42, 70, 4),
            run_of("local", 41, 100, 0)]  # fmt: skip
    assert tables.budgets(runs)["fedavg"] == {
        "optimizer_steps": 60, "samples": 480, "bytes_up": 4, "bytes_down": 10,
        "cpu_seconds": 2, "seconds": 2,
    }  # fmt: skip
    to_tap = tables.relative(runs, "tap")
    assert list(to_tap) == ["local", "fedavg", "tap"]
    assert to_tap["fedavg"] == {
        "optimizer_steps": 0.5, "samples": 0.5, "bytes_up": 0.5, "bytes_down": 1,
        "cpu_seconds": 1, "seconds": 1,
    }  # fmt: skip
    assert "bytes_up" not in tables.relative(runs, "local")["tap"], "nothing is no measure"
    assert tables.relative(runs, "ditto") == {}


def test_an_average_of_nothing_is_refused(tables: ModuleType) -> None:
    with pytest.raises(ValueError, match="nothing to average"):
        tables.over_tasks({})
