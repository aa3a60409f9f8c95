"""What a client's key shows of a job: all that is the client's own, and nothing of another."""

from typing import Any

import pytest

from tests.support.scripted import SHA, Json, World, component_bytes, job_spec, offer, sha

pytestmark = pytest.mark.integration

STATE = "b" * 64
VALUES = {"c1": 0.75, "c2": 0.125}


def score(client: str) -> Json:
    return {
        "metric": "accuracy", "value": VALUES[client], "reference": 0.5, "skill": 0.5,
        "n": 5, "metrics": {}, "intervals": {}, "encoder": None, "of": None,
    }  # fmt: skip


def report(world: World, client: str, **result: Any) -> None:
    claim = world.clients[client].claim()
    assert claim is not None
    assert world.clients[client].report(claim, "result", **result).is_success


def finished(world: World) -> str:
    job = world.launch()
    world.plan(job)
    for _ in range(2):
        world.train("c1", 1.0)
        world.train("c2", 5.0)
        world.advance(job)
    for client in VALUES:
        report(world, client, kind="personalize", losses={}, state_digest=STATE)
    world.advance(job)
    for client in VALUES:
        scores = {"distilled": {"digits": score(client)}}
        report(world, client, kind="evaluate", scores=scores)
    world.advance(job)
    return job


def taken(world: World, client: str, job: str) -> Json:
    found: Json = world.clients[client].ok("GET", f"/v1/jobs/{job}/takeaway")
    return found


def test_a_client_reads_its_own_and_nothing_of_another(pair: World) -> None:
    job = finished(pair)
    found = taken(pair, "c1", job)
    assert (found["state"], found["rounds"], found["took_part"]) == ("succeeded", 2, [1, 2])
    assert (found["state_digest"], found["base_digest"]) == (STATE, SHA)
    assert found["version"] == 2
    proj = {"sha256": sha(component_bytes(4, 4, 4)), "n_bytes": len(component_bytes(4, 4, 4))}
    assert found["manifest"]["proj"] == {**proj, "made_in": 1}
    assert sorted(found["manifest"]) == found["components"]
    assert found["spec"] == pair.job(job)["spec"]
    assert found["tasks"] == {"digits": ["image"]}
    assert [(row["client"], row["score"]) for row in found["scores"]] == [("c1", score("c1"))]
    assert [(row["client"], row["round"]) for row in found["replacements"]] == [
        ("c1", 1),
        ("c1", 2),
    ]
    assert taken(pair, "c2", job)["scores"][0]["score"] == score("c2")


def test_every_artifact_that_it_names_may_be_downloaded(pair: World) -> None:
    job = finished(pair)
    wanted = {part["sha256"] for part in taken(pair, "c1", job)["manifest"].values()}
    for sha256 in sorted(wanted):
        assert pair.clients["c1"]("GET", f"/v1/artifacts/{sha256}").status_code == 200


def test_a_job_that_has_just_begun_shows_what_there_is(pair: World) -> None:
    job = pair.launch()
    before = taken(pair, "c1", job)
    assert (before["state"], before["version"], before["components"]) == ("planning", None, [])
    pair.plan(job)
    pair.train("c1", 1.0)
    found = taken(pair, "c1", job)
    assert (found["state"], found["rounds"], found["version"]) == ("running", 0, 0)
    assert found["state_digest"] == SHA
    assert (found["scores"], found["took_part"], found["replacements"]) == ([], [], [])


def test_a_job_of_others_is_not_there(pair: World) -> None:
    job = pair.operator.ok("POST", "/v1/jobs", json=job_spec(["c1"]))["id"]
    other = pair.add_client("c9", offer())
    for caller in (other, pair.clients["c2"]):
        answer = caller("GET", f"/v1/jobs/{job}/takeaway")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_fork_names_its_parent_and_the_state_that_it_began_with(pair: World) -> None:
    job = pair.launch()
    pair.plan(job)
    pair.train("c1", 1.0)
    pair.train("c2", 5.0)
    pair.advance(job)
    spec = pair.job(job)["spec"]
    wish = {"round": 1, "spec": spec}
    fork = pair.operator.ok("POST", f"/v1/jobs/{job}/fork", json=wish)["id"]
    pair.advance(fork)
    found = taken(pair, "c1", fork)
    assert found["forked_from"] == {"job": job, "round": 1, "personal_round": None}
    assert (found["parent_state_digest"], found["state_digest"]) == (SHA, SHA)
