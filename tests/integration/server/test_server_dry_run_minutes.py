"""Dry runs say how long a job takes from what its clients took before."""

import json
from typing import Any

import pytest

from shared.dry_run import DryRunView
from tests.support.dry_runs import again, ask, describe
from tests.support.scripted import SHA, Json, World, component_bytes, job_spec, sha, train_result

pytestmark = pytest.mark.integration


def paced(world: World, name: str, pace: Json | None, seconds: float, **more: Any) -> None:
    """One client's round, which says how fast it trained."""
    caller = world.clients[name]
    claimed = caller.claim()
    assert claimed is not None
    result = {"kind": claimed["kind"], "losses": {}, "state_digest": SHA, **more}
    if claimed["kind"] == "train":
        files = {n: component_bytes(1, 2, len(name)) for n in claimed["components"]}
        assert caller.upload(claimed, files).json()["complete"]
        result = {**train_result({n: sha(data) for n, data in files.items()}), **more}
    result["traffic"] = {"bytes_down": 1, "bytes_up": 1, "seconds": seconds}
    done = caller.report(claimed, "result", **result, pace=pace)
    assert done.is_success, done.text


def evaluated(world: World, name: str) -> None:
    caller = world.clients[name]
    claimed = caller.claim()
    assert claimed is not None
    traffic = {"bytes_down": 1, "bytes_up": 0, "seconds": 4.0}
    done = caller.report(claimed, "result", kind="evaluate", scores={}, traffic=traffic)
    assert done.is_success, done.text


def unknown(found: DryRunView) -> bool:
    """Whether there is no number of a duration anywhere."""
    assert found.round is not None
    assert found.job is not None
    times = [client.time for client in found.clients.values()]
    assert all(time and time.round_s is None and "unknown" in time.stands_on for time in times)
    return found.round.time is None and found.job.time is None


def test_minutes_stand_on_what_clients_took_before(pair: World) -> None:
    """Rounds of 20 steps: c1 made 40 of 0.5 s and took 30 s, so 1 s a step and 10 s besides."""
    job = pair.launch(rounds={"count": 1})
    pair.plan(job)
    paced(pair, "c1", {"steps": 40, "step_seconds": 0.5}, 30.0)
    paced(pair, "c2", {"steps": 40, "step_seconds": 1.0}, 40.0)
    pair.advance(job)
    pair.advance(job)
    paced(pair, "c1", {"steps": 26, "step_seconds": 1.0}, 26.0)  # stage two: 13 steps, 2 s each
    paced(pair, "c2", {"steps": 26, "step_seconds": 1.0}, 26.0)
    pair.advance(job)
    for name in ("c1", "c2"):
        evaluated(pair, name)
    more = {"rounds": {"count": 10}, "training": {"local_steps": 40}, "post": {"steps": 26}}
    asked = ask(pair, job_spec(["c1", "c2"], **more))
    describe(pair, asked)
    found = again(pair, asked)
    times = {name: client.time for name, client in found.clients.items()}
    assert times["c1"] is not None
    assert times["c1"].round_s == pytest.approx(40 * 1.0 + 10.0)
    assert times["c1"].stage_two_s == pytest.approx(52.0)
    assert times["c1"].evaluation_s == pytest.approx(4.0)
    assert times["c2"] is not None
    assert times["c2"].round_s == pytest.approx(80.0)
    assert found.round is not None
    assert found.round.time is not None
    assert found.round.time.least_s == pytest.approx(80.0)
    assert found.round.time.most_s == pytest.approx(130.0)
    assert found.job is not None
    assert found.job.time is not None
    assert found.job.time.least_s == pytest.approx(10 * 80 + 52 + 4)
    for other in ({"algorithm": {"name": "fedavg"}}, {"training": {"batch_size": 5}}):
        asked = ask(pair, job_spec(["c1", "c2"], **other))
        describe(pair, asked)
        assert unknown(again(pair, asked))


def test_minutes_of_an_older_worker_are_unknown(pair: World) -> None:
    pair.trained()  # its results say nothing of a pace
    asked = ask(pair)
    describe(pair, asked)
    assert unknown(again(pair, asked))


def test_minutes_of_stored_numbers_of_any_size_are_told(pair: World) -> None:
    """An earlier version took them."""
    job = pair.launch(rounds={"count": 1})
    pair.plan(job)
    for name in ("c1", "c2"):
        paced(pair, name, {"steps": 40, "step_seconds": 0.5}, 30.0)
    pair.execute(
        "UPDATE assignments SET result = result::jsonb || :more ::jsonb WHERE kind = 'train'",
        more=json.dumps(
            {
                "traffic": {"bytes_down": 1, "bytes_up": 1, "seconds": 1e308},
                "pace": {"steps": 10**400, "step_seconds": 1e308},
            }
        ),
    )
    asked = ask(pair, job_spec(["c1", "c2"], rounds={"count": 9, "clients_per_round": 1}))
    describe(pair, asked)
    found = again(pair, asked)
    assert any(said.startswith("rounds.deadline: ") for said in found.warnings)
    assert found.round is not None
    assert found.round.time is not None
    moved = pair.viewer.ok("GET", f"/v1/jobs/{job}/rounds/1")["assignments"]
    assert [each["traffic"]["seconds"] for each in moved] == [1e308, 1e308]
