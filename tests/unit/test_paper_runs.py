"""What bench/paper runs: divisions of the data, specs, and results that only one commit makes."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from tests.support.bench_paper import script

pytestmark = pytest.mark.unit
SCALES = ("alone", "full", "grid", "small", "teacher", "trial", "tune")


@pytest.fixture(scope="module")
def grid() -> Iterator[ModuleType]:
    with script("grid") as found:
        yield found


@pytest.fixture(scope="module")
def provenance() -> Iterator[ModuleType]:
    with script("provenance") as found:
        yield found


@pytest.fixture
def results(grid: ModuleType, tmp_path: Path) -> Any:
    import results as found  # noqa: PLC0415  # a script beside grid, which is imported by now

    return found.Results(tmp_path, grid.SCALES["trial"], "abc", "python paper.py")


@pytest.mark.parametrize("name", SCALES)
def test_every_run_is_a_job_with_a_name_of_its_own_behind_what_it_needs(
    grid: ModuleType, name: str
) -> None:
    scale, seen = grid.SCALES[name], dict[str, Any]()
    for run in scale.runs():
        assert run.name not in seen
        assert run.needs is None or run.needs.name in seen
        seen[run.name] = run.spec(scale, 0.25 if run.needs else None)
    assert all(spec.name == name for name, spec in seen.items())


def test_the_families_parts_are_the_grid(grid: ModuleType) -> None:
    whole = grid.SCALES["grid"]
    parts = {family: whole.of(family).runs() for family in ("flava", "vilt")}
    for family, runs in parts.items():
        assert runs
        assert {run.family for run in runs} == {family}
    assert {run for runs in parts.values() for run in runs} == set(whole.runs())


def test_the_grid_has_each_method_twice_and_the_paper_s_four_times(grid: ModuleType) -> None:
    plain = [
        run
        for run in grid.SCALES["grid"].runs()
        if (run.alpha, run.margin, run.k, run.alone) == (None,) * 4
    ]
    for method in grid.METHODS:
        for family in ("flava", "vilt"):
            seeds = {run.seed for run in plain if (run.method, run.family) == (method, family)}
            assert seeds >= ({41, 42, 43, 44} if method in grid.PAPER else {41, 42})


@pytest.mark.parametrize("family", ["flava", "vilt"])
def test_thirty_clients_in_ten_patterns_and_newcomers_that_no_job_names(
    grid: ModuleType, family: str
) -> None:
    run = grid.Run("tap", family, 41)
    parts = run.division.participants
    assert len(parts) == 30
    assert all(parts[f"c{n:02}"] == parts[f"c{n + 10:02}"] for n in range(20))
    spec = run.spec(grid.SCALES["small"])
    assert list(spec.clients) == list(parts)
    assert spec.clients_per_round == 6
    assert set(run.division.clients) - set(parts) == {"whole", "n0", "n1", "n2", "n3", "n4"}
    assert set(run.division.clients["whole"]) == set(spec.tasks)


def test_a_sweep_of_tasks_holds_the_clients_and_its_control_the_first_task_s(
    grid: ModuleType,
) -> None:
    three = grid.Run("fedavg", "vilt", 41, k=3)
    alone = grid.Run("fedavg", "vilt", 41, alone=3)
    topics = {c: t for c, t in three.division.participants.items() if t == ("topics",)}
    assert len(three.division.participants) == 30
    assert len(topics) == 10
    assert alone.division.participants == topics
    assert list(alone.spec(grid.SCALES["small"]).tasks) == ["topics"]
    # as many of the task's clients in a round as there are of them among all tasks' on average
    assert three.spec(grid.SCALES["small"]).clients_per_round == 6
    assert alone.spec(grid.SCALES["small"]).clients_per_round == 2
    # where that is less than one, in fewer rounds: a third of a client in each of 200
    full = alone.spec(grid.SCALES["full"])
    assert (full.clients_per_round, full.rounds.count) == (1, 133)


def test_the_margin_of_a_sweep_is_all_tasks_and_the_paper_s_else(grid: ModuleType) -> None:
    scale = grid.SCALES["small"]
    swept = grid.Run("tap", "vilt", 41, margin=0.5).spec(scale)
    assert {task.margin for task in swept.tasks.values()} == {0.5}
    paper = {name: t.margin for name, t in grid.Run("tap", "vilt", 41).spec(scale).tasks.items()}
    assert paper == {
        "drawings": 0.01, "fashion": 0.01, "topics": 0.01,
        "headlines": 0.02, "opinions": 0.02, "vqa": 0.02,
    }  # fmt: skip


def test_random_replacement_is_as_frequent_as_that_seed_s_tap(
    grid: ModuleType, results: Any
) -> None:
    tap, random = grid.Run("tap", "vilt", 41), grid.Run("tap-random", "vilt", 41)
    forced = {"personal_loss": None, "replaced": True}
    chances = [{"personal_loss": 1.0, "replaced": replaced} for replaced in (True, False, False)]
    results.keep(tap, {"decisions": [forced, *chances, {**chances[1]}]})
    assert results.spec(random).algorithm.replacement_rate == 0.25
    assert results.has(tap)
    assert not results.has(random)
    results.keep(random, {"decisions": []})
    assert results.has(random)
    (results.out / "runs" / f"{tap.name}.json").unlink()
    assert not results.has(random), "it is of a rate that nobody knows any more"


def test_a_result_says_what_made_it_and_on_which_processor(grid: ModuleType, results: Any) -> None:
    run = grid.Run("local", "vilt", 41)
    results.keep(run, {"decisions": []})
    found = json.loads((results.out / "runs" / f"{run.name}.json").read_text())
    assert (found["commit"], found["command"]) == (results.commit, results.command)
    assert found["machine"].endswith(f", {torch.backends.cpu.get_cpu_capability()}")


def test_a_result_of_another_spec_is_refused(grid: ModuleType, results: Any) -> None:
    run = grid.Run("local", "vilt", 41)
    results.keep(run, {"decisions": []})
    assert results.has(run)
    other = type(results)(results.out, grid.SCALES["small"], "abc", "python paper.py")
    with pytest.raises(Exception, match=r"is of another spec .* remove that file"):
        other.has(run)


def test_a_result_of_another_commit_is_refused_where_nothing_else_says_so(
    grid: ModuleType, results: Any
) -> None:
    run = grid.Run("local", "vilt", 41)
    results.keep(run, {"decisions": []})
    other = type(results)(results.out, results.scale, "another", "python paper.py")
    with pytest.raises(Exception, match=rf"is of commit {results.commit}, and .* remove that file"):
        other.has(run)


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "worker").mkdir()
    (tmp_path / "worker" / "a.py").write_text("1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    return tmp_path


def test_results_beside_the_code_leave_its_commit(provenance: ModuleType, checkout: Path) -> None:
    first = provenance.commit(checkout)
    (checkout / "results.json").write_text("{}")
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "results")
    assert provenance.commit(checkout) == first


def test_code_that_differs_is_another_commit(provenance: ModuleType, checkout: Path) -> None:
    found = [provenance.commit(checkout)]
    (checkout / "worker" / "a.py").write_text("2\n")
    found.append(provenance.commit(checkout))
    (checkout / "worker" / "b.py").write_text("3\n")
    found.append(provenance.commit(checkout))
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "two")
    found.append(provenance.commit(checkout))
    assert len(set(found)) == 4
    assert ["-dirty-" in each for each in found] == [False, True, True, False]


def test_a_directory_of_another_commit_s_results_is_refused(
    provenance: ModuleType, tmp_path: Path
) -> None:
    provenance.claim(tmp_path, "abc")
    provenance.claim(tmp_path, "abc")
    with pytest.raises(provenance.OtherCommitError, match=r"results of commit abc.*by --out"):
        provenance.claim(tmp_path, "def")


def test_without_git_the_remedy_is_named(provenance: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(provenance.OtherCommitError, match="run it in a clone"):
        provenance.commit(tmp_path)
