"""A client that offers less in the middle of a job: what it is asked for, and what counts."""

from typing import Any

import pytest

from tests.support.scripted import World, component_bytes, sha, train_result

pytestmark = pytest.mark.integration

TASKS = {"digits": {"kind": "text_generation", "modalities": ["image", "text"]}}


def offer(*modalities: str, train: int = 10, task: str = "digits") -> dict[str, Any]:
    given = {"kind": "text_generation", "modalities": modalities, "train": {"general": train}}
    return {"tasks": {task: {**given, "validation": 5, "test": 5}}}


def offers(world: World, name: str, offered: dict[str, Any]) -> None:
    world.clients[name].ok("PUT", f"/v1/clients/{name}/offer", json=offered)


@pytest.fixture
def readers(world: World) -> World:
    """Two clients that read images and texts, c1 with 10 samples and c2 with 30."""
    world.add_client("c1", offer("image", "text"))
    world.add_client("c2", offer("image", "text", train=30))
    return world


def begun(world: World, **changes: Any) -> str:
    job = world.launch(tasks=TASKS, **changes)
    world.plan(job)
    return job


def contributors(world: World, job: str, number: int) -> dict[str, dict[str, float]]:
    manifest = world.viewer.ok("GET", f"/v1/jobs/{job}/versions/{number}")["manifest"]
    return {
        name: {share["client"]: share["weight"] for share in entry["contributions"]}
        for name, entry in manifest.items()
        if entry["made_in"] == number
    }


def told(world: World, job: str) -> list[tuple[Any, ...]]:
    items = world.viewer.ok("GET", f"/v1/jobs/{job}/events?limit=500")["items"]
    fields = ("client", "task", "modality", "round", "phase")
    return [
        (item["kind"], *(item["data"][field] for field in fields))
        for item in items
        if item["kind"].startswith("client.")
    ]


def round_of_both(world: World, job: str, value: float) -> dict[str, dict[str, Any]]:
    claims = {name: world.train(name, value + n) for n, name in enumerate(("c1", "c2"))}
    world.advance(job)
    return claims


def finish(world: World, job: str) -> dict[str, Any]:
    results: dict[str, dict[str, Any]] = {
        "personalize": {"kind": "personalize", "losses": {}},
        "evaluate": {"kind": "evaluate", "scores": {}},
    }
    for result in results.values():
        for caller in world.clients.values():
            claim = caller.claim()
            if claim is not None:
                assert caller.report(claim, "result", **result).is_success
        world.advance(job)
    assert world.job(job)["state"] == "succeeded", world.job(job)["failure"]
    report: dict[str, Any] = world.viewer.ok("GET", f"/v1/jobs/{job}/report")
    return report


def test_images_lost_between_rounds_and_had_again(readers: World) -> None:
    job = begun(readers, rounds={"count": 3})
    whole = round_of_both(readers, job, 1.0)["c1"]
    assert whole["tasks"] == {"digits": ["image", "text"]}
    assert "encoder.image" in whole["components"]
    offers(readers, "c1", offer("text"))
    offers(readers, "c1", offer("text"))  # said again, as by a worker that starts once more
    narrow = round_of_both(readers, job, 7.0)["c1"]
    assert narrow["tasks"] == {"digits": ["text"]}
    assert not any("image" in name for name in narrow["components"])
    assert set(narrow["components"]) < set(whole["components"])
    away = readers.clients["c1"].ok("GET", f"/v1/jobs/{job}/takeaway")
    assert (away["tasks"], away["components"]) == (narrow["tasks"], sorted(narrow["components"]))
    second = contributors(readers, job, 2)
    assert second["encoder.image"] == {"c2": 30}
    assert second["encoder.text"] == second["proj"] == {"c1": 10, "c2": 30}
    offers(readers, "c1", offer("text", "image", train=999))
    third = round_of_both(readers, job, 3.0)["c1"]
    assert third["components"] == whole["components"]
    assert contributors(readers, job, 3)["encoder.image"] == {"c1": 10, "c2": 30}
    wanted = [("digits", "image", True, 2, "train"), ("digits", "image", False, 3, "train")]
    changes = finish(readers, job)["offer_changes"]
    assert [
        tuple(c[k] for k in ("task", "modality", "lost", "round", "phase")) for c in changes
    ] == wanted
    assert {change["client"] for change in changes} == {"c1"}
    assert told(readers, job) == [
        ("client.lost", "c1", "digits", "image", 2, "train"),
        ("client.regained", "c1", "digits", "image", 3, "train"),
    ]


def test_an_assignment_in_hand_is_given_anew_and_its_old_result_is_of_no_use(
    readers: World,
) -> None:
    begun(readers)
    c1 = readers.clients["c1"]
    old = c1.claim()
    assert old is not None
    files = {name: component_bytes(1.0, 1.0, 1.0) for name in old["components"]}
    assert c1.upload(old, files).json()["complete"]
    offers(readers, "c1", offer("text"))
    result = train_result({name: sha(data) for name, data in files.items()})
    assert c1.report(old, "result", **result).status_code == 409
    assert c1.report(old, "heartbeat").json()["instruction"] == "stale"
    new = c1.claim(shown=old)
    assert new is not None
    assert (new["assignment_id"], new["lease"]["attempt"]) == (old["assignment_id"], 2)
    assert not any("image" in name for name in new["components"])
    refused = c1.report(new, "result", **result)
    assert refused.json()["code"] == "missing_upload", "images are not among its components"
    assert readers.value("SELECT released FROM assignments WHERE client_id = 'c1'") == 1


def test_the_same_offer_again_disturbs_no_work(readers: World) -> None:
    job = begun(readers)
    claim = readers.clients["c1"].claim()
    assert claim is not None
    offers(readers, "c1", offer("image", "text", train=11))
    answer = readers.clients["c1"].report(claim, "heartbeat").json()
    assert answer["instruction"] == "continue"
    assert told(readers, job) == []


def test_a_client_without_a_task_is_left_out_and_the_others_go_on(readers: World) -> None:
    job = begun(readers, rounds={"count": 2, "quorum": 1})
    round_of_both(readers, job, 1.0)
    offers(readers, "c1", offer("text", task="other"))
    assert readers.clients["c1"].claim() is None
    readers.train("c2", 4.0)
    readers.advance(job)
    report = finish(readers, job)
    second = report["attendance"][1]
    [missing] = second["missing"]
    assert (missing["client"], missing["state"]) == ("c1", "failed")
    assert missing["reason"] == (
        "client_without_task: c1 offers none of the job's tasks any more: have it offer one again, "
        "or fork the job without it"
    )
    assert contributors(readers, job, 2)["proj"] == {"c2": 30}
    [change] = report["offer_changes"]
    assert (change["modality"], change["lost"], change["round"]) == (None, True, 2)


def test_a_modality_lost_before_the_job_is_planned_is_known_in_its_first_round(
    readers: World,
) -> None:
    job = readers.launch(tasks=TASKS)
    offers(readers, "c1", offer("text"))
    plan = readers.plan(job)
    assert "encoder.image" in plan["components"], "c2 has images"
    claim = readers.clients["c1"].claim()
    assert claim is not None
    assert "encoder.image" not in claim["components"]
    assert told(readers, job) == [("client.lost", "c1", "digits", "image", 1, "train")]


def test_a_change_behind_the_clients_own_part_counts_from_the_next_round(readers: World) -> None:
    job = begun(readers, rounds={"count": 1})
    readers.train("c1", 1.0)
    offers(readers, "c1", offer("text"))
    readers.train("c2", 1.0)
    readers.advance(job)
    assert contributors(readers, job, 1)["encoder.image"] == {"c1": 10, "c2": 30}
    [change] = finish(readers, job)["offer_changes"]
    assert (change["round"], change["phase"]) == (1, "personalize")


def test_jobs_that_are_over_or_of_others_are_left_alone(readers: World) -> None:
    job = begun(readers)
    readers.operator.ok("POST", f"/v1/jobs/{job}/cancel")
    offers(readers, "c1", offer("text"))
    readers.advance(job)
    assert readers.job(job)["state"] == "cancelled"
    assert told(readers, job) == []


def test_a_modality_that_nobody_reads_is_refused_at_launch(world: World) -> None:
    world.add_client("c1", offer("text"))
    answer = world.operator(
        "POST",
        "/v1/jobs",
        json={"name": "x", "algorithm": {"name": "tap"}, "rounds": {"count": 1}, "tasks": TASKS,
              "clients": ["c1"]},
    )  # fmt: skip
    assert answer.json()["code"] == "modality_without_client"
    assert "no client of the job reads image for it" in answer.text
