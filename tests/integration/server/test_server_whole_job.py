"""A whole job through the real HTTP app, by scripted workers."""

import struct
from typing import Any

import pytest

from tests.support.scripted import SHA, World, component_bytes, sha

pytestmark = pytest.mark.integration


def finish(world: World, job: str, kinds: tuple[str, ...]) -> None:
    for kind in kinds:
        for name, caller in world.clients.items():
            claim = caller.claim()
            assert claim is not None, (name, kind)
            assert claim["kind"] == kind
            assert caller.report(claim, "result", **RESULTS[kind]).is_success
        world.advance(job)


SCORE = {
    "metric": "accuracy",
    "value": 0.8,
    "reference": 0.5,
    "skill": 0.6,
    "n": 5,
    "metrics": {"accuracy": 0.8, "loss": 0.5},
    "intervals": {"accuracy": [0.4, 1.0], "loss": [0.3, 0.7]},
    "encoder": None,
    "of": None,
}
RESULTS: dict[str, Any] = {
    "personalize": {"kind": "personalize", "losses": {}, "state_digest": "b" * 64},
    "evaluate": {"kind": "evaluate", "scores": {"distilled": {"digits": SCORE}}},
    "train": {"kind": "train", "components": {}, "losses": {}},
}


def test_a_job_runs_from_launch_to_report(pair: World) -> None:
    job = pair.launch()
    assert pair.job(job)["state"] == "planning"
    plan = pair.plan(job)
    assert pair.job(job)["state"] == "running"
    for number in (1, 2):
        claims = [pair.train("c1", 1.0), pair.train("c2", 5.0)]
        assert {claim["round"] for claim in claims} == {number}
        assert {claim["version"] for claim in claims} == {number - 1}
        assert claims[0]["base_digest"] == SHA
        assert claims[0]["state_digest"] == (None if number == 1 else SHA)
        pair.advance(job)
    assert pair.job(job)["state"] == "personalizing"
    finish(pair, job, ("personalize", "evaluate"))
    assert pair.job(job)["state"] == "succeeded"
    check_versions(pair, job, plan["components"])
    check_rounds(pair, job)
    check_report(pair, job)


def check_versions(world: World, job: str, components: list[str]) -> None:
    items = world.viewer.ok("GET", f"/v1/jobs/{job}/versions")["items"]
    assert [item["number"] for item in items] == [0, 1, 2]
    assert items[0]["n_changed"] == items[1]["n_changed"] == len(components)
    assert items[2]["n_changed"] == 0, "the same average is the same artifact"
    manifest = world.viewer.ok("GET", f"/v1/jobs/{job}/versions/1")["manifest"]
    assert sorted(manifest) == components
    mean = component_bytes(4.0, 4.0, 4.0)  # (10 * 1 + 30 * 5) / 40
    assert manifest["proj"]["sha256"] == sha(mean)
    assert manifest["proj"]["made_in"] == 1
    shares = manifest["proj"]["contributions"]
    assert shares == [{"client": "c1", "weight": 10.0}, {"client": "c2", "weight": 30.0}]
    stored = world.operator("GET", f"/v1/artifacts/{sha(mean)}").content
    norms = "SELECT min(norm) FROM contributions WHERE component = :name AND client_id = 'c2'"
    assert world.value(norms, name="proj") == pytest.approx(3**0.5), "4 to 5, three values"
    assert struct.unpack("<3f", stored[-12:]) == (4.0, 4.0, 4.0)


def check_rounds(world: World, job: str) -> None:
    listed = world.viewer.ok("GET", f"/v1/jobs/{job}/rounds")
    rounds = listed["items"]
    assert [(r["number"], r["state"], r["version"]) for r in rounds] == [
        (1, "published", 1),
        (2, "published", 2),
    ]
    n = len(rounds[0]["assignments"][0]["decisions"])
    assert n == 1
    assert rounds[0]["bytes_down"] == 14
    n_components = world.viewer.ok("GET", f"/v1/jobs/{job}/versions")["items"][0]["n_components"]
    assert rounds[0]["bytes_up"] == 2 * n_components * len(component_bytes(0, 0, 0))
    assert rounds[0]["bytes_full_exchange"] == 2 * 2 * n_components * (12 + 100)
    second = {**rounds[1], "last_event": listed["last_event"]}
    assert world.viewer.ok("GET", f"/v1/jobs/{job}/rounds/2") == second
    assert world.viewer("GET", f"/v1/jobs/{job}/rounds/3").status_code == 404


def check_report(world: World, job: str) -> None:
    report = world.viewer.ok("GET", f"/v1/jobs/{job}/report")
    assert report["state"] == "succeeded"
    assert report["rounds"] == report["final_version"] == 2
    assert [(row["client"], row["variant"]) for row in report["scores"]] == [
        ("c1", "distilled"),
        ("c2", "distilled"),
    ]
    assert report["scores"][0]["score"] == SCORE
    assert [(row["metric"], row["value"], row["n"]) for row in report["averages"]] == [
        ("accuracy", 0.8, 10),
        ("loss", 0.5, 10),
    ]
    assert [(row["client"], row["round"]) for row in report["replacements"]] == [
        ("c1", 1),
        ("c2", 1),
        ("c1", 2),
        ("c2", 2),
    ]
    assert report["optimizer_steps"] == {"rounds": 40, "post_training": 13, "total": 53}
    kinds = [e["kind"] for e in world.viewer.ok("GET", f"/v1/jobs/{job}/events")["items"]]
    assert kinds[0] == "job.submitted"
    assert kinds[-1] == "job.succeeded"
    assert kinds.count("round.published") == 5


def test_fedavg_without_post_training_skips_personalizing(pair: World) -> None:
    job = pair.launch(algorithm={"name": "fedavg", "post_training": False}, rounds={"count": 1})
    pair.plan(job)
    pair.train("c1", 1.0)
    pair.train("c2", 2.0)
    pair.advance(job)
    assert pair.job(job)["state"] == "evaluating"
    finish(pair, job, ("evaluate",))
    assert pair.job(job)["state"] == "succeeded"


def test_local_uploads_nothing_and_each_version_is_the_one_before(pair: World) -> None:
    job = pair.launch(algorithm={"name": "local"})
    pair.plan(job)
    finish(pair, job, ("train", "train", "personalize", "evaluate"))
    versions = [pair.viewer.ok("GET", f"/v1/jobs/{job}/versions/{n}")["manifest"] for n in range(3)]
    assert versions[0] == versions[1] == versions[2]
    assert pair.job(job)["state"] == "succeeded"


def test_the_report_waits_for_the_end(pair: World) -> None:
    job = pair.launch()
    answer = pair.viewer("GET", f"/v1/jobs/{job}/report")
    assert answer.status_code == 409
    assert answer.json()["code"] == "job_not_ended"


def test_a_job_goes_on_without_a_client_that_cannot_be_personalized(pair: World) -> None:
    job = pair.launch(rounds={"count": 1})
    pair.plan(job)
    pair.train("c1", 1.0)
    pair.train("c2", 2.0)
    pair.advance(job)
    failed, well = (pair.clients[c].claim() for c in ("c1", "c2"))
    assert failed is not None
    assert well is not None
    pair.clients["c1"].report(failed, "failure", code="diverged", message="NaN")
    pair.clients["c2"].report(well, "result", **RESULTS["personalize"])
    pair.advance(job)
    assert pair.clients["c1"].claim() is None
    claim = pair.clients["c2"].claim()
    assert claim is not None
    pair.clients["c2"].report(claim, "result", **RESULTS["evaluate"])
    pair.advance(job)
    assert pair.job(job)["state"] == "succeeded"
    rows = pair.viewer.ok("GET", f"/v1/jobs/{job}/report")["attendance"]
    assert rows == pair.viewer.ok("GET", f"/v1/jobs/{job}/attendance")["items"]
    assert [(row["phase"], row["accepted"]) for row in rows] == [
        ("train", ["c1", "c2"]),
        ("personalize", ["c2"]),
        ("evaluate", ["c2"]),
    ]
    absence = {"client": "c1", "state": "failed", "reason": "diverged: NaN", "components": []}
    assert rows[1]["missing"] == [absence]
    assert rows[1]["not_delivered"] == {}
    assert rows[0]["not_delivered"]
    assert not any(rows[0]["not_delivered"].values())


def test_a_job_fails_when_no_client_can_be_personalized(pair: World) -> None:
    job = pair.launch(rounds={"count": 1})
    pair.plan(job)
    pair.train("c1", 1.0)
    pair.train("c2", 2.0)
    pair.advance(job)
    for caller in pair.clients.values():
        claim = caller.claim()
        assert claim is not None
        caller.report(claim, "failure", code="diverged", message="NaN")
    pair.advance(job)
    view = pair.job(job)
    assert view["state"] == "failed"
    assert "c1: diverged (NaN)" in view["failure"]["message"]
