"""The page of bench/paper, over results that are made up: no run made any of them."""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.bench_paper import script
from tests.support.html_page import Page
from tests.support.paper_results import everything, made_up, score, with_skills

pytestmark = pytest.mark.unit
COMMAND = "python bench/paper/page.py <made-up>"


@pytest.fixture(scope="module")
def page() -> Iterator[ModuleType]:
    with script("page") as found:
        yield found


def published(page: ModuleType, out: Path, results: list[dict[str, Any]]) -> Page:
    page.publish(out, results, COMMAND)
    return Page((out / "index.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def whole(page: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything, published."""
    out = tmp_path_factory.mktemp("whole")
    page.publish(out, everything(), COMMAND)
    return out


def test_the_page_is_well_formed_and_stands_alone(whole: Path) -> None:
    text = (whole / "index.html").read_text(encoding="utf-8")
    read = Page(text)
    assert len(read.ids) == len(set(read.ids))
    assert not read.heads_without_scope
    assert "http" not in text
    assert "<script" not in text
    asked = {address for address in read.addresses if not address.startswith("#")}
    assert asked == {"scores.csv", "tables.json"}
    assert {address[1:] for address in read.addresses} - set(read.ids) == {
        "cores.csv",
        "ables.json",
    }
    assert "python bench/paper/paper.py --scale made-up</code> at 0123456" in text
    assert "prefers-color-scheme: dark" in text
    assert "#010203" not in text, "what stands for the page's colour is drawn in it"


def test_with_all_runs_nothing_waits_and_each_figure_says_what_it_shows(whole: Path) -> None:
    read = Page((whole / "index.html").read_text(encoding="utf-8"))
    assert read.waits == []
    assert len(read.roles) == 2 * 10
    assert all(role["aria-label"] for role in read.roles)
    for key in ("methods-c-own-skill", "distillation-difference", "replacements-periods",
                "margins-table", "k-fedavg-apart", "costs-budgets", "benefits-counts", "skew-own",
                "options-difference", "guards-c-skill", "guards-n-counts"):  # fmt: skip
        assert f"vilt-{key}" in read.tables
        assert f"flava-{key}" in read.tables


def test_the_numbers_of_the_page_are_those_worked_out_by_hand(
    page: ModuleType, tmp_path: Path
) -> None:
    tap = with_skills("tap", "distilled", 0.4, 0.2)  # means 0.5 and 0.3
    local = with_skills("local", "post_trained", 0.2, 0.1)  # means 0.3 and 0.2
    read = published(page, tmp_path, [local, tap])
    skills = read.tables["vilt-methods-c-own-skill"]
    assert [head.strip() for head in skills[0]] == [
        "row", "mean over tasks", "rank, paper's", "rank, all", "topics (text classification)",
        "vqa (text generation)", "seeds", "cells", "seed 41",
    ]  # fmt: skip
    assert [row[0].strip() for row in skills[1:]] == ["local", "tap"]
    assert [cell.split()[0] for cell in skills[2][1:]] == [
        "0.400", "1.000", "1.000", "0.500", "0.300", "1", "4", "0.400",
    ]  # fmt: skip
    assert skills[2][4].split() == ["0.500", "2", "cells"], "too few for an interval"
    (less,) = read.tables["vilt-methods-c-own-difference"][1:]
    assert less[1].split() == ["+0.150", "4", "cells"], "two clients tell nothing better"
    assert [cell.split()[0] for cell in less[2:]] == ["-", "+0.150", "+0.200", "+0.100", "4"]
    assert [c.strip() for c in read.tables["vilt-benefits-counts"][1][1:]] == [
        "4",
        "0",
        "0",
        "none",
    ]
    took = {row[0].strip(): row for row in read.tables["vilt-costs-budgets"][1:]}
    assert took["local"][6].strip() == "less: samples x 0.50, bytes up x 0.00, bytes down x 0.00"
    assert [took[name][7].strip() for name in ("local", "tap")] == ["nothing", "guard"]
    tables = json.loads((tmp_path / "tables.json").read_text(encoding="utf-8"))
    row = tables["vilt-methods-c-own-difference"]["rows"][0]
    assert row[4] == {"mean": pytest.approx(0.2), "low": pytest.approx(0.2),
                      "high": pytest.approx(0.2), "n": 2, "units": 2,
                      "seeds": [pytest.approx(0.2)]}  # fmt: skip


# Of one client's models: validation loss, validation skill, own skill.
MODELS = {
    "distilled": (0.5, 0.6, 0.1),
    "personal": (0.4, 0.5, 0.2),
    "post_trained": (0.45, 0.6, 0.9),
}


def test_each_guard_picks_the_model_that_its_rule_names(page: ModuleType, tmp_path: Path) -> None:
    result = made_up("tap")
    result["scores"] = [
        {**score("c00", "topics", on, variant, skill), "loss": loss}
        for variant, (loss, held_out, own) in MODELS.items()
        for on, skill in (("validation", held_out), ("own", own))
    ]
    tables = published(page, tmp_path, [result]).tables
    means = {row[0].strip(): row[1].split()[0] for row in tables["vilt-guards-c-skill"][1:]}
    assert means == {
        "tap": "0.100",
        "guard by loss": "0.200",
        "guard by score": "0.900",  # of two with the same score the one with less loss
        "best in hindsight": "0.900",
    }
    counts = {
        row[0].strip(): [c.strip() for c in row[1:]] for row in tables["vilt-guards-c-counts"][1:]
    }
    assert counts["guard by loss"] == ["0", "1", "0"]
    assert counts["guard by score"] == ["0", "0", "1"]
    assert "vilt-guards-n-skill" not in tables


def test_results_of_several_machines_are_told_apart(page: ModuleType, tmp_path: Path) -> None:
    first, *others = everything()
    results = [{**first, "machine": "an <abacus>, AVX2"}, *others]
    page.publish(tmp_path, results, COMMAND)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "--scale made-up</code> at 0123456 on an &lt;abacus&gt;, AVX2" in text
    assert f"{len(others)} runs by <code>" in text


def test_what_has_no_runs_says_which_it_waits_for(page: ModuleType, tmp_path: Path) -> None:
    read = published(page, tmp_path, [with_skills("fedavg", "engaged", 0.1, 0.2)])
    assert "vilt-methods-c-own-skill" in read.tables
    newcomers = "clients that took no part"
    assert read.waits == [
        "Waits for runs of tap (vilt).",
        "Waits for runs of local, fedavg+post, disentafl, disentafl+post, tap (vilt).",
        "Waits for runs of any method with participants on the tasks' whole test sets (vilt).",
        f"Waits for runs of any method with {newcomers}, on their own held-out data (vilt).",
        f"Waits for runs of any method with {newcomers}, on whole test sets (vilt).",
        "Waits for runs of tap and of tap-plain (vilt).",
        "Waits for runs of tap (vilt).",
        "Waits for runs of tap with a margin of its own and of tap and of tap-auto (vilt).",
        "Waits for runs of a sweep of K (vilt).",
        "Waits for runs of the controls of a sweep of K, one task by itself (vilt).",
        "Waits for runs of tap (vilt).",
        "Waits for runs of local, tap (vilt).",
        "Waits for runs of methods on Dirichlet label skew (vilt).",
        "Waits for runs of tap and of one of its options (vilt).",
        "Waits for runs of tap with a guard (vilt).",
    ]
    assert published(page, tmp_path / "none", []).tables == {}


@pytest.mark.parametrize(
    ("method", "departs"),
    [("local", {}), ("tap", {"margin": 0.5}), ("fedavg", {"k": 2}), ("fedavg", {"alone": 2}),
     ("tap", {"alpha": 0.1})],
)  # fmt: skip
def test_a_single_run_of_any_kind_makes_a_page(
    page: ModuleType, tmp_path: Path, method: str, departs: dict[str, Any]
) -> None:
    assert published(page, tmp_path, [made_up(method, **departs)]).waits


def test_all_runs_but_taps_make_a_page(page: ModuleType, tmp_path: Path) -> None:
    of_vilt = [r for r in everything() if (r["run"]["family"], r["run"]["seed"]) == ("vilt", 41)]
    without = [r for r in of_vilt if r["run"]["method"] != "tap" or r["run"]["margin"] is not None]
    read = published(page, tmp_path, without)
    assert "vilt-margins-table" in read.tables
    assert "vilt-margins-difference" not in read.tables


def test_a_row_without_one_of_the_seeds_says_how_many_it_has(
    page: ModuleType, tmp_path: Path
) -> None:
    results = [made_up("tap", 41), made_up("tap", 42), made_up("local", 42)]
    rows = published(page, tmp_path, results).tables["vilt-methods-c-own-skill"]
    column = [head.strip() for head in rows[0]].index("seeds")
    assert {row[0].strip(): row[column].strip() for row in rows[1:]}["local"] == "1 of 2"


def test_names_are_shown_and_never_run(page: ModuleType, tmp_path: Path) -> None:
    script = "<script>alert(1)</script>$x$"
    results = [made_up(method, named=script) for method in ("tap", "local", "fedavg")]
    results.append(made_up("fedavg", named=script, k=2))
    published(page, tmp_path, results)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "topics&lt;script&gt;alert(1)&lt;/script&gt;$x$" in text
    assert "&lt;made-up&gt;" in text


def test_the_same_results_in_any_order_make_the_same_files(
    page: ModuleType, tmp_path: Path
) -> None:
    results = [made_up(method, seed) for method in ("tap", "local", "fedavg") for seed in (41, 42)]
    results.append(made_up("tap", margin=0.5))
    for folder, order in (("a", results), ("b", results[::-1])):
        page.publish(tmp_path / folder, order, COMMAND)
    for name in ("index.html", "scores.csv", "tables.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_every_score_is_a_line_of_the_csv(page: ModuleType, tmp_path: Path) -> None:
    results = [made_up("tap", margin=0.5), made_up("local", alpha=0.1)]
    page.publish(tmp_path, results, COMMAND)
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == sum(len(result["scores"]) for result in results)
    rows = {(line["method"], line["variant"]): line["row"] for line in lines}
    assert rows["tap", "guarded"] == "tap+guard"
    assert rows["local", "engaged"] == ""
    assert rows["local", "post_trained"] == "local"
    assert {(line["method"], line["skew"], line["margin"]) for line in lines} == {
        ("tap", "iid", "0.5"), ("local", "dirichlet-0.1", ""),
    }  # fmt: skip


def test_the_command_reads_directories(
    page: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n, method in enumerate(("tap", "local")):
        (tmp_path / str(n) / "runs").mkdir(parents=True)
        path = tmp_path / str(n) / "runs" / f"{method}.json"
        path.write_text(json.dumps(made_up(method)), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["page.py", str(tmp_path / "0"), str(tmp_path / "1")])
    assert page.main() == 0
    assert (tmp_path / "0" / "index.html").is_file()


def test_results_that_cannot_be_read_are_refused(
    page: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    monkeypatch.setattr(sys, "argv", ["page.py", str(tmp_path)])
    assert page.main() == 1
    assert "there are no results: make some" in capsys.readouterr().err
    (runs / "a.json").write_text("{", encoding="utf-8")
    with pytest.raises(page.ResultsError, match=r"a\.json is no result"):
        page.read([tmp_path])
    for name in ("a", "b"):
        (runs / f"{name}.json").write_text(json.dumps(made_up("tap")), encoding="utf-8")
    with pytest.raises(page.ResultsError, match=r"b\.json and .*a\.json are the same run"):
        page.read([tmp_path])
