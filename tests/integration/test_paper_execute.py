"""A run of bench/paper on a small federation: what it costs, what it scores, and how it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest

from shared.artifacts import ArtifactStore
from shared.results import Variant
from tests.support import federation, small
from tests.support.bench_paper import ROOT, script
from tests.support.patience import wait_for
from worker.data.client_file import ClientFile

pytestmark = pytest.mark.integration
MEMBERS = {
    "c01": ("digits", "vqa"),
    "c02": ("digits",),
    "n1": ("digits", "vqa"),
    "whole": ("digits", "vqa"),
}
N_TEST = federation.SIZES["test"]


@pytest.fixture(scope="module")
def execute() -> Iterator[ModuleType]:
    with script("execute") as found:
        yield found


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("federation")
    federation.write(folder, MEMBERS)
    return folder


def job(algorithm: str, **options: Any) -> Any:
    tasks = {task: small.SPEC["tasks"][task] for task in ("digits", "vqa")}
    names = {"algorithm": {"name": algorithm, **options}, "rounds": {"count": 1}}
    return small.spec(**names, tasks=tasks, clients=["c01", "c02"])


@pytest.fixture(scope="module")
def tap(execute: ModuleType, clients: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run(execute, job("tap", guard=True), clients, tmp_path_factory.mktemp("a"))


def run(
    execute: ModuleType, spec: Any, clients: Path, folder: Path, memory: Path | None = None
) -> Any:
    """By default with a memory of its own."""
    scratch, known = folder / "scratch", execute.Memory(memory or folder / "memory")
    scratch.mkdir()
    return execute.execute(spec, clients, scratch, "cpu", known)


def chosen(result: Any, **where: str) -> list[dict[str, Any]]:
    return [row for row in result["scores"] if {**row, **where} == row]


def test_own_scores_and_components_are_the_simulation_s(
    execute: ModuleType, tap: Any, clients: Path, tmp_path: Path
) -> None:
    files = [ClientFile.read(clients / name / "client.yaml") for name in ("c01", "c02")]
    store = ArtifactStore(tmp_path, durable=False)
    expected = execute.simulate.run(job("tap", guard=True), files, store)
    assert tap["final"] == dict(expected.manifests[-1])
    for client, variants in expected.scores.items():
        for variant, tasks in variants.items():
            for task, score in tasks.items():
                place = {"client": client, "on": "own", "variant": variant, "task": task}
                [row] = chosen(tap, **place)
                assert row["value"] == pytest.approx(score.value, rel=1e-5)
                assert row["n"] == N_TEST
    assert {row["variant"] for row in tap["scores"]} == set(Variant)


def test_the_same_spec_twice_gives_the_same_numbers(
    execute: ModuleType, tap: Any, clients: Path, tmp_path: Path
) -> None:
    again = run(execute, job("tap", guard=True), clients, tmp_path)
    took = {"seconds": 0, "cpu_seconds": 0}
    assert {**again, **took} == {**tap, **took}
    assert all(result[name] > 0 for result in (again, tap) for name in took)
    assert tap["remembered_steps"] == 0


@pytest.mark.parametrize(
    ("before", "remembered"),
    [
        # fedavg trains the engaged models: in a round, and once more at the end
        (("fedavg", {}), 2 * (2 + 2)),
        # all but distillation: in the round both models, at the end the teacher
        (("tap", {"distillation": False}), 2 * (4 + 2)),
        (("disentafl", {}), 0),
        (("fedavg", {"equal_compute": True}), 0),
    ],
)
def test_what_another_run_has_computed_is_remembered_and_changes_nothing(
    execute: ModuleType, tap: Any, clients: Path, tmp_path: Path, before: Any, remembered: int
) -> None:
    algorithm, options = before
    known = tmp_path / "known"
    (tmp_path / "before").mkdir()
    run(execute, job(algorithm, **options), clients, tmp_path / "before", known)
    found = run(execute, job("tap", guard=True), clients, tmp_path, known)
    own = {"seconds": 0, "cpu_seconds": 0, "remembered_steps": remembered}
    assert {**tap, **own} == {**found, "seconds": 0, "cpu_seconds": 0}


def test_clients_of_another_division_have_other_data_and_nothing_is_remembered_of_them(
    execute: ModuleType, clients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, scratch = job("fedavg"), tmp_path / "places"
    scratch.mkdir()
    divided = {"one": clients, "other": other_data(tmp_path / "another division")}
    with script("processes") as processes:
        monkeypatch.setattr(processes.Order, "clients", lambda _, division: divided[division])
        order = processes.Order(tmp_path / "cache", scratch, "cpu", tmp_path / "memory")
        one, other = (order.do(spec, division) for division in divided)
        again = order.do(spec, "one")
    alone = run(execute, spec, divided["other"], tmp_path)
    took = {"seconds": 0, "cpu_seconds": 0, "remembered_steps": 0}
    assert {**other, **took} == {**alone, **took}
    assert other["remembered_steps"] == 0
    assert other["final"] != one["final"]
    assert again["remembered_steps"] == one["optimizer_steps"] > 0


def other_data(folder: Path) -> Path:
    """Clients of the same names and tasks with other samples."""
    federation.write(folder, {f"other-{name}": tasks for name, tasks in MEMBERS.items()})
    for name in MEMBERS:
        here = (folder / f"other-{name}").rename(folder / name)
        file = here / "client.yaml"
        file.write_text(file.read_text().replace(f"client: other-{name}", f"client: {name}"))
    return folder


def test_the_server_s_model_is_worth_the_same_to_all_on_whole_test_sets(tap: Any) -> None:
    rows = chosen(tap, on="whole", variant="engaged", task="digits")
    assert [row["client"] for row in rows] == ["c01", "c02", "n1"]
    assert len({(row["value"], row["skill"]) for row in rows}) == 1
    personal = chosen(tap, on="whole", variant="personal", task="digits")
    assert len({row["value"] for row in personal}) > 1


def test_the_guard_s_choice_can_be_made_again_from_validation_rows(tap: Any) -> None:
    places = [
        (row["client"], row["task"]) for row in chosen(tap, on="validation", variant="guarded")
    ]
    assert len(set(places)) == len(places) == 5  # three of c01 and c02, two of the newcomer
    for client, task in places:
        rows = chosen(tap, on="validation", client=client, task=task)
        worth = {row["variant"]: (row["skill"], -row["loss"]) for row in rows}
        candidates = {"distilled", "personal", "post_trained"} & set(worth)
        assert worth["guarded"] == max(worth[name] for name in candidates)
    assert {row["loss"] for row in tap["scores"] if row["on"] != "validation"} == {None}


def test_costs_are_counted_by_hand(execute: ModuleType, tap: Any) -> None:
    steps, batch = 2, 8
    both_models, clients = 2 * (steps + steps), 2  # a round and stage two
    assert tap["optimizer_steps"] == both_models * clients
    assert tap["samples"] == both_models * clients * batch
    n_bytes = sum(_bytes_of(execute, client) for client in ("c01", "c02"))
    # everything was trained by its users: all goes up once, and down as version 0 and version 1
    assert tap["bytes_up"] == n_bytes
    assert tap["bytes_down"] == 2 * n_bytes


def test_how_far_averaged_pairs_are_from_their_products_is_kept_for_each_round(
    tap: Any,
) -> None:
    [errors] = tap["relative_errors"]
    alone = {name for name in errors if "text_generation" in name}  # c01's question answering
    assert alone < set(errors)
    assert set(errors) <= set(tap["final"])
    assert all(0 <= error < 1 for error in errors.values())
    assert any(error > 0 for name, error in errors.items() if name not in alone)
    assert all(errors[name] == pytest.approx(0, abs=1e-5) for name in alone)


def test_each_rule_is_measured_on_the_pairs_that_were_sent(clients: Path, tmp_path: Path) -> None:
    with script("low_rank") as low_rank:
        found = low_rank.measure(job("fedavg"), clients, tmp_path)
        lines = list(low_rank.table(found))
    assert len(lines) == 2 + len(found)
    every = [errors for of in found.values() for errors in of]
    assert every
    for errors in every:
        assert set(errors) == {"factors", "flora_na", "svd"}
        assert 0 < errors["svd"] <= errors["flora_na"] <= errors["factors"] < 1


def _bytes_of(execute: ModuleType, client: str) -> int:
    spec = job("local")
    layers = spec.model.layers
    used = {c for task in MEMBERS[client] for c in spec.tasks[task].components(task, layers)}
    network = execute.simulate.Network(spec, execute.load_base(spec.model), used)
    return sum(
        values.numel() * 4
        for name in network.components
        for values in network.tensors(name).values()
    )


def test_training_alone_sends_nothing_and_has_no_server_s_model(
    execute: ModuleType, clients: Path, tmp_path: Path
) -> None:
    local = run(execute, job("local"), clients, tmp_path)
    assert local["bytes_up"] == 0
    assert not chosen(local, variant="engaged")
    assert chosen(local, client="n1", variant="post_trained", on="own")


def test_told_to_stop_it_ends_its_processes_and_leaves_nothing(tmp_path: Path) -> None:
    temporary, cache = tmp_path / "temporary", ROOT / ".tapestry" / "cache"
    temporary.mkdir()
    command: list[str | Path] = [
        *(sys.executable, "bench/paper/paper.py", "--scale", "trial", "--workers", "2"),
        *("--out", tmp_path / "out", "--cache", cache),
    ]

    def is_busy() -> bool:
        return any(temporary.glob("*/*")) or any(cache.glob(".prepare-*"))

    environment = {**os.environ, "TMPDIR": str(temporary)}
    begun = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE)
    try:
        wait_for(lambda: begun.poll() is not None or is_busy(), 200)
        children = psutil.Process(begun.pid).children(recursive=True)
        begun.send_signal(signal.SIGTERM)
        assert begun.wait(60) == 128 + signal.SIGTERM
    finally:
        begun.kill()
        begun.communicate()
    assert children
    # multiprocessing's own tracker hears of its parent's end by a pipe, and ends after it.
    wait_for(lambda: all(map(has_ended, children)), 10)
    assert not is_busy()
    assert not list(temporary.iterdir())


def has_ended(process: psutil.Process) -> bool:
    """Also where nobody has asked yet how: its parent has ended, too."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
