"""Forks: the parent's version, the parent's artifacts, rounds of their own."""

from typing import Any

import pytest

from tests.support.scripted import SHA, Json, World, component_bytes, job_spec, offer, sha
from tests.support.signing_in import HTML, cookie

pytestmark = pytest.mark.integration


@pytest.fixture
def parent(two_rounds: str) -> str:
    return two_rounds


def wish(number: int, **changes: Any) -> Json:
    return {"round": number, "spec": job_spec(["c1", "c2"], **changes)}


def fork(world: World, parent: str, number: int, **changes: Any) -> str:
    made = world.operator.ok("POST", f"/v1/jobs/{parent}/fork", json=wish(number, **changes))
    assert (made["forked_from"]["job"], made["forked_from"]["round"]) == (parent, number)
    world.advance(made["id"])
    return str(made["id"])


def manifest(world: World, job: str, number: int) -> Json:
    found: Json = world.viewer.ok("GET", f"/v1/jobs/{job}/versions/{number}")["manifest"]
    return found


def test_a_fork_continues_behind_the_parents_version(pair: World, parent: str) -> None:
    files = pair.value("SELECT count(*) FROM artifacts")
    job = fork(pair, parent, 1, rounds={"count": 3})
    view = pair.job(job)
    assert (view["state"], view["round"]) == ("running", 2)
    assert view["forked_from"] == {
        "job": parent,
        "round": 1,
        "personal_round": None,
        "personal_states": {"c1": SHA, "c2": SHA},
    }
    assert manifest(pair, job, 1) == manifest(pair, parent, 1)
    assert pair.value("SELECT count(*) FROM artifacts") == files, "nothing is copied"
    assert pair.planner.claim() is None
    page = pair.http.get(f"/jobs/{job}", headers={**HTML, **cookie(pair)}).text
    assert "Now: train 2" in page, "and not the planning that it inherits"
    claim = pair.train("c1", 7.0)
    assert (claim["round"], claim["version"]) == (2, 1)
    assert claim["manifest"]["proj"] == sha(component_bytes(1, 1, 1))
    assert claim["base_digest"] == SHA
    assert (claim["parent_job_id"], claim["state_digest"]) == (parent, SHA)
    pair.train("c2", 7.0)
    pair.advance(job)
    numbers = [v["number"] for v in pair.viewer.ok("GET", f"/v1/jobs/{job}/versions")["items"]]
    assert numbers == [1, 2]
    assert manifest(pair, job, 2)["proj"]["sha256"] == sha(component_bytes(7, 7, 7))
    assert manifest(pair, parent, 2)["proj"]["sha256"] == sha(component_bytes(2, 2, 2))


def test_a_fork_of_a_fork_knows_who_made_its_components(pair: World, parent: str) -> None:
    job = fork(pair, fork(pair, parent, 1), 1)
    assert manifest(pair, job, 1) == manifest(pair, parent, 1)
    shares = manifest(pair, job, 1)["proj"]["contributions"]
    assert [share["client"] for share in shares] == ["c1", "c2"]


def test_every_view_of_a_fork_names_its_parent_and_a_parent_names_its_forks(
    pair: World, parent: str
) -> None:
    first = fork(pair, parent, 2, name="first")
    second, of_first = fork(pair, parent, 1, name="second"), fork(pair, first, 2, name="third")
    origin = {"job": parent, "round": 1, "personal_round": None}
    views = [pair.operator.ok("POST", f"/v1/jobs/{second}/{act}") for act in ("pause", "resume")]
    views.append(pair.operator.ok("POST", f"/v1/jobs/{second}/cancel"))
    listed = {job["id"]: job for job in pair.viewer.ok("GET", "/v1/jobs")["items"]}
    assert [view["forked_from"] for view in (*views, listed[second])] == [origin] * 4
    assert listed[of_first]["forked_from"] == {**origin, "job": first, "round": 2}
    assert listed[parent]["forked_from"] is pair.job(parent)["forked_from"] is None
    assert pair.job(parent)["forks"] == [
        {"id": first, "name": "first", "round": 2},
        {"id": second, "name": "second", "round": 1},
    ]
    assert [row["id"] for row in pair.job(first)["forks"]] == [of_first]
    assert pair.job(second)["forks"] == []


def test_clients_go_on_with_the_personal_states_of_that_round(pair: World, parent: str) -> None:
    def states(job: str) -> Json:
        found: Json = pair.job(job)["forked_from"]["personal_states"]
        return found

    assert states(fork(pair, parent, 0)) == {}
    job = fork(pair, parent, 1)
    assert states(job) == {"c1": SHA, "c2": SHA}
    assert states(fork(pair, job, 1)) == {"c1": SHA, "c2": SHA}


def test_clients_begin_without_personal_states_when_the_operator_says_so(
    pair: World, parent: str
) -> None:
    given = {**wish(1), "personal_states": "fresh"}
    made = pair.operator.ok("POST", f"/v1/jobs/{parent}/fork", json=given)
    assert made["forked_from"]["personal_states"] == {}
    pair.advance(made["id"])
    claim = pair.clients["c1"].claim()
    assert claim is not None
    assert (claim["parent_job_id"], claim["state_digest"]) == (parent, None)


def test_a_fork_behind_the_last_round_goes_to_stage_two(pair: World, parent: str) -> None:
    job = fork(pair, parent, 2)
    assert pair.job(job)["state"] == "personalizing"
    plain = {"name": "fedavg", "post_training": False}
    assert pair.job(fork(pair, parent, 2, algorithm=plain))["state"] == "evaluating"
    claim = pair.clients["c1"].claim()
    assert claim is not None
    assert (claim["kind"], claim["version"], claim["round"]) == ("personalize", 2, 2)


def test_an_idempotency_key_makes_one_fork(pair: World, parent: str) -> None:
    path, headers = f"/v1/jobs/{parent}/fork", {"Idempotency-Key": "once"}
    first = pair.operator.ok("POST", path, json=wish(1), headers=headers)
    assert pair.operator.ok("POST", path, json=wish(1), headers=headers)["id"] == first["id"]
    other = pair.operator("POST", path, json=wish(2), headers=headers)
    assert other.json()["code"] == "idempotency_key_reused"


def test_a_version_that_is_not_there_cannot_be_forked(pair: World, parent: str) -> None:
    answer = pair.operator("POST", f"/v1/jobs/{parent}/fork", json=wish(3))
    assert answer.status_code == 409
    assert answer.json()["detail"] == "The job has no version 3: choose one of 0 to 2."
    job = fork(pair, parent, 2)
    answer = pair.operator("POST", f"/v1/jobs/{job}/fork", json=wish(1))
    assert answer.json()["detail"] == "The job has no version 1: choose one of 2 to 2."
    new = pair.operator("POST", f"/v1/jobs/{pair.launch()}/fork", json=wish(0))
    assert new.json()["detail"] == "The job has no version 0: wait until it is planned."


def test_what_cannot_continue_is_refused_with_every_reason(pair: World, parent: str) -> None:
    changes = {"rounds": {"count": 1}, "model": {"domain_rank": 5}}
    answer = pair.operator("POST", f"/v1/jobs/{parent}/fork", json=wish(2, **changes))
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["code"] == "no_rounds_left"
    assert len(problem["errors"]) == 2
    other = {"tasks": {"birds": offer()["tasks"]["digits"]}}
    pair.clients["c1"].ok("PUT", "/v1/clients/c1/offer", json=other)
    answer = pair.operator("POST", f"/v1/jobs/{parent}/fork", json=wish(1))
    assert "c1 does not offer digits any more" in " ".join(answer.json()["errors"])


def test_a_fork_runs_to_its_report(pair: World, parent: str) -> None:
    job = fork(pair, parent, 1)
    pair.train("c1", 3.0)
    pair.train("c2", 3.0)
    pair.advance(job)
    pair.operator.ok("POST", f"/v1/jobs/{job}/cancel")
    pair.advance(job)
    report = pair.viewer.ok("GET", f"/v1/jobs/{job}/report")
    assert (report["rounds"], report["final_version"]) == (1, 2)
    assert report["forked_from"] == {"job": parent, "round": 1, "personal_round": None}
    assert pair.viewer.ok("GET", f"/v1/jobs/{parent}/report")["forked_from"] is None
    assert [(row["phase"], row["round"]) for row in report["attendance"]] == [
        ("train", 2),
        ("personalize", 2),
    ]
