"""Whole jobs through the real stack end with the bits of examples/simulate.py.

Only those jobs run that a chosen test asks for by `name` or `names`.
"""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.stack.stack import Stack
from shared.algorithms import NAMES
from shared.artifacts import ArtifactStore
from shared.job_spec import JobSpec
from shared.results import Variant
from shared.states import JOB_TERMINAL, JobState
from shared.views import JobView
from tests.support import federation, small
from tests.support.simulate import load_simulate
from worker.data.client_file import ClientFile

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

_APART = {"tap", "fedavg", "local", "pfedme"}
ALGORITHMS: dict[str, dict[str, Any]] = {
    "tap": {"algorithm": {"name": "tap"}},
    "fedavg": {"algorithm": {"name": "fedavg"}},
    "fedavg-plain": {"algorithm": {"name": "fedavg", "post_training": False}},
    "local": {"algorithm": {"name": "local"}},
    **{name: {"algorithm": {"name": name}} for name in NAMES if name not in _APART},
    "pfedme": {"algorithm": {"name": "pfedme", "inner_steps": 2}},  # w moves once in a round
    "equal": {"algorithm": {"name": "fedavg", "equal_compute": True}},
    "equal-alone": {"algorithm": {"name": "local", "equal_compute": True}},
    "options": {
        "algorithm": {
            "name": "tap",
            "signal": "validation",
            "margin": "auto",
            "shared_components": "all",
            "distillation": False,
            "guard": True,
        }
    },
    "sampled": {"algorithm": {"name": "tap"}, "rounds": {"count": 3, "clients_per_round": 2}},
    "held-back": {
        "algorithm": {"name": "tap"},
        "rounds": {"count": 3, "clients_per_round": 2},
        "aggregation": {"min_contributors": 2},
    },
    "lora": {
        "algorithm": {"name": "tap"},
        "model": {**small.SPEC["model"], "trainable": "lora"},
    },
    **{
        low_rank: {
            "algorithm": {"name": "tap"},
            "aggregation": {"low_rank": low_rank},
            "model": {**small.SPEC["model"], "trainable": "lora"},
        }
        for low_rank in ("svd", "flora_na", "ffa", "fedsa")
    },
}
_SHORT = {"tap", "fedavg", "local", "options", "ffa"}
LOW_RANK = ("lora", "svd", "flora_na", "ffa", "fedsa")


def each_of(names: Iterable[str]) -> pytest.MarkDecorator:
    """A test of each job; those that are not short are long."""
    marked = [pytest.param(n, marks=[] if n in _SHORT else pytest.mark.long) for n in names]
    return pytest.mark.parametrize("name", marked)


def spec(name: str) -> JobSpec:
    return small.spec(**{"name": name, "clients": list(federation.CLIENTS), **ALGORITHMS[name]})


@pytest.fixture(scope="module")
def wanted(request: pytest.FixtureRequest) -> list[str]:
    """The jobs that the chosen tests ask for."""
    here = [each for each in request.session.items if each.path == request.path]
    asked: list[dict[str, Any]] = [
        each.callspec.params for each in here if isinstance(each, pytest.Function)
    ]
    names = {name for each in asked for name in (each.get("name"), *each.get("names", ()))}
    return [name for name in ALGORITHMS if name in names]


@pytest.fixture(scope="module")
def jobs(stack: Stack, wanted: list[str]) -> dict[str, JobView]:
    """The jobs, submitted at once and run to their end."""
    with stack.client() as api:
        submitted = {name: api.submit(spec(name), f"key-{name}") for name in wanted}
        end = time.monotonic() + 400
        while True:
            jobs = {name: api.job(job.id) for name, job in submitted.items()}
            if all(job.state in JOB_TERMINAL for job in jobs.values()):
                return dict(jobs)
            assert time.monotonic() < end, {n: (j.state, j.round) for n, j in jobs.items()}
            stack.processes.check()
            time.sleep(0.3)


@pytest.fixture(scope="module")
def simulated(
    client_files: list[Path], tmp_path_factory: pytest.TempPathFactory, wanted: list[str]
) -> Iterator[dict[str, Any]]:
    """The same jobs by the simulation."""
    files = [ClientFile.read(path) for path in client_files]
    store = ArtifactStore(tmp_path_factory.mktemp("simulated"), durable=False)
    with load_simulate() as simulate:
        yield {name: simulate.run(spec(name), files, store) for name in wanted}


@each_of(ALGORITHMS)
def test_every_version_has_the_same_components_bit_for_bit(
    name: str, stack: Stack, jobs: dict[str, JobView], simulated: dict[str, Any]
) -> None:
    assert jobs[name].state is JobState.SUCCEEDED, jobs[name].failure
    with stack.client() as api:
        for number, manifest in enumerate(simulated[name].manifests):
            version = api.version(jobs[name].id, number)
            assert {c: entry.sha256 for c, entry in version.manifest.items()} == manifest


@each_of(ALGORITHMS)
def test_every_score_and_decision_is_the_same(
    name: str, stack: Stack, jobs: dict[str, JobView], simulated: dict[str, Any]
) -> None:
    with stack.client() as api:
        report = api.report(jobs[name].id)
    expected = {
        (client, task, variant): (score, simulated[name].validation[client][variant][task])
        for client, variants in simulated[name].scores.items()
        for variant, tasks in variants.items()
        for task, score in tasks.items()
    }
    found = {(r.client, r.task, r.variant): (r.score, r.validation) for r in report.scores}
    assert found == expected
    guarded = {r.score.of for r in report.scores if r.variant is Variant.GUARDED}
    assert bool(guarded) == getattr(spec(name).algorithm, "guard", False)
    decisions = {(r.round, r.client, r.decision) for r in report.replacements}
    assert decisions == set(simulated[name].decisions)


@each_of(LOW_RANK)
def test_how_far_each_low_rank_aggregate_is_from_its_products_is_shown(
    name: str, stack: Stack, jobs: dict[str, JobView], simulated: dict[str, Any]
) -> None:
    with stack.client() as api:
        manifest = api.version(jobs[name].id, 2).manifest
    errors = {c: e.relative_error for c, e in manifest.items() if e.relative_error is not None}
    averages = {c: a for of in simulated[name].averages for c, a in of.items()}
    expected = {c: a.relative_error for c, a in averages.items() if a.relative_error is not None}
    assert errors == pytest.approx(expected, rel=1e-9, abs=1e-9)
    several = {c for c in errors if len(manifest[c].contributions) > 1}
    if name in {"ffa", "fedsa"}:
        assert not errors, "there is no whole pair in what is averaged"
    else:
        assert any(errors[c] > 0 for c in several)
        assert all(
            error == pytest.approx(0, abs=1e-5) for c, error in errors.items() if c not in several
        )


@pytest.mark.long
@pytest.mark.parametrize("names", [LOW_RANK])
def test_half_of_each_low_rank_pair_travels_with_ffa_and_fedsa(
    names: tuple[str, ...], stack: Stack, jobs: dict[str, JobView]
) -> None:
    with stack.client() as api:
        sent = {name: api.report(jobs[name].id).bytes_up for name in names}
    assert sent["svd"] == sent["lora"]
    assert max(sent["ffa"], sent["fedsa"]) < sent["lora"]


@pytest.mark.parametrize("names", [("tap", "fedavg")])
def test_tap_and_fedavg_share_their_server_models(
    names: tuple[str, ...], stack: Stack, jobs: dict[str, JobView]
) -> None:
    with stack.client() as api:
        manifests = [api.report(jobs[name].id).final_manifest for name in names]
    assert manifests[0] == manifests[1]


@pytest.mark.parametrize("names", [("tap", "lora", "local")])
def test_only_trainable_tensors_travel_and_only_what_is_lacking(
    names: tuple[str, ...], stack: Stack, jobs: dict[str, JobView]
) -> None:
    with stack.client() as api:
        full = {name: api.report(jobs[name].id) for name in names}
        first, second = api.rounds(jobs["lora"].id)
    assert full["local"].bytes_up == 0, "local clients upload nothing"
    lora = full["lora"]
    assert 0 < lora.bytes_up < lora.bytes_full_exchange / 4
    assert first.bytes_down > 0
    assert second.bytes_up > 0
    for report in full.values():
        assert report.bytes_down + report.bytes_up <= report.bytes_full_exchange
