"""Why jobs wait, over real rows."""

from typing import Any
from uuid import UUID

import pytest

from server.lifecycle import transition
from server.rounds.repository import rounds_of
from server.tables import Job
from server.timer import suspect_missed_leases
from shared.states import JobState, RoundState
from tests.support.scripted import World, job_spec

pytestmark = pytest.mark.integration


def causes(world: World, job: str) -> dict[str, str]:
    """What waits in the job, and why."""
    items = world.viewer.ok("GET", f"/v1/jobs/{job}/waiting")["items"]
    return {f"{item['kind']} {item['name']}": item["waiting"]["cause"] for item in items}


def of_part(world: World, job: str, client: str) -> Any:
    items = world.viewer.ok("GET", f"/v1/jobs/{job}/waiting")["items"]
    [found] = [i["waiting"] for i in items if (i["kind"], i["name"]) == ("assignment", client)]
    return found


@pytest.fixture
def job(pair: World) -> str:
    """A job in its first round."""
    job = pair.launch()
    pair.plan(job)
    return job


def test_a_job_that_nobody_has_looked_at(pair: World) -> None:
    job = pair.operator.ok("POST", "/v1/jobs", json=job_spec(["c1", "c2"]))
    assert job["waiting"]["cause"] == "not_looked_at"
    assert causes(pair, job["id"]) == {"job scripted": "not_looked_at"}
    pair.advance(job["id"])
    assert causes(pair, job["id"]) == {
        "job scripted": "waits_for_results",
        "round round 0 (plan)": "waits_for_results",
        "assignment planner": "not_claimed",
    }
    assert pair.job(job["id"])["waiting"]["owner"] == "planner"


def test_a_round_names_who_is_missing(pair: World, job: str) -> None:
    pair.train("c1", 1.0)
    pair.clients["c2"].claim()
    waiting = pair.job(job)["waiting"]
    assert waiting["owner"] == "c2"
    assert "has 1 of 2 results, needs 2, and waits for c2" in waiting["sentence"]
    [listed] = pair.viewer.ok("GET", "/v1/jobs")["items"]
    assert listed["waiting"] == waiting
    rounds = pair.viewer.ok("GET", f"/v1/jobs/{job}/rounds")
    [row] = rounds["items"]
    assert row["waiting"] == waiting
    assert [part["waiting"] and part["waiting"]["cause"] for part in row["assignments"]] == [
        None,
        "working",
    ]
    alone = pair.viewer.ok("GET", f"/v1/jobs/{job}/rounds/1")
    assert alone == {**row, "last_event": rounds["last_event"]}


def test_each_cause_of_an_assignment(pair: World, job: str) -> None:
    other = pair.launch(name="other")
    pair.plan(other)
    claim = pair.clients["c1"].claim()
    assert claim is not None
    assert of_part(pair, job, "c1")["cause"] == "working"
    assert "of job scripted" in of_part(pair, other, "c1")["sentence"]
    busy = of_part(pair, other, "c1")
    assert (busy["cause"], busy["until"]) == ("client_busy", of_part(pair, job, "c1")["until"])
    pair.execute("UPDATE assignments SET lease_until = now() - interval '1 s' WHERE attempt = 1")
    suspect_missed_leases(pair.context)
    assert of_part(pair, job, "c1")["cause"] == "lease_missed"
    pair.clients["c1"].report(claim, "failure", code="internal", message="x")
    pair.execute("UPDATE assignments SET not_before = now() + interval '1 h' WHERE attempt = 1")
    paused = of_part(pair, job, "c1")
    assert paused["cause"] == "pause_after_failure"
    assert "internal" in paused["sentence"]
    pair.execute("UPDATE assignments SET not_before = now() - interval '1 h'")
    pair.execute("UPDATE clients SET seen_at = now() - interval '2 h'")
    assert of_part(pair, job, "c2")["cause"] == "client_silent"


def test_a_round_that_is_aggregated(pair: World, job: str) -> None:
    pair.train("c1", 1.0)
    pair.train("c2", 1.0)
    assert pair.job(job)["waiting"]["cause"] == "closing"
    store = pair.context.store
    for path in store.root.glob("??/*"):
        path.rename(path.with_suffix(".away"))
    pair.advance(job)
    waiting = pair.job(job)["waiting"]
    assert (waiting["cause"], waiting["owner"]) == ("aggregation_failed", "coordinator")
    assert "failed (ArtifactError: artifact " in waiting["sentence"]
    assert "4 of 5 attempts are left" in waiting["sentence"]
    assert waiting["until"] > waiting["since"]
    assert waiting["then"] == "Attempt 2 of 5 begins."
    pair.execute("UPDATE rounds SET lease_until = now() WHERE closed_at IS NULL")
    overdue = pair.job(job)["waiting"]
    assert (overdue["cause"], overdue["until"]) == ("aggregation_failed", None)
    pair.execute("UPDATE rounds SET attempt = 2, lease_until = now() + interval '5 min'")
    assert pair.job(job)["waiting"]["cause"] == "aggregating", "another attempt has begun"
    pair.execute("UPDATE rounds SET lease_until = now() WHERE closed_at IS NULL")
    for path in store.root.glob("??/*"):
        path.rename(path.with_suffix(""))
    pair.advance(job)
    assert pair.job(job)["round"] == 2


def test_a_round_names_who_failed_and_how(pair: World, job: str) -> None:
    claim = pair.clients["c1"].claim()
    assert claim is not None
    pair.clients["c1"].report(claim, "failure", code="diverged", message="NaN")
    assert pair.job(job)["waiting"]["sentence"].endswith("; failed: c1 (diverged).")


def test_a_round_that_nobody_has_begun_to_aggregate(pair: World, job: str) -> None:
    with pair.context.sessions.begin() as session:
        [row] = rounds_of(session, UUID(job))
        transition(session, row, RoundState.AGGREGATING)
    waiting = pair.job(job)["waiting"]
    assert (waiting["cause"], waiting["then"]) == ("aggregation_due", "Attempt 1 of 5 begins.")
    pair.context.store.read_only = True
    waiting = pair.job(job)["waiting"]
    assert (waiting["cause"], waiting["owner"]) == ("store_takes_no_writes", "operator")


def test_an_ending_and_an_ended_job(pair: World, job: str) -> None:
    assert pair.operator.ok("POST", f"/v1/jobs/{job}/cancel")["waiting"]["cause"] == "cancelling"
    assert set(causes(pair, job).values()) == {"cancelling"}
    pair.advance(job)
    assert pair.job(job)["waiting"] is None
    assert causes(pair, job) == {}


def test_a_paused_job_waits_for_its_operator(pair: World, job: str) -> None:
    with pair.context.sessions.begin() as session:
        transition(session, session.get_one(Job, UUID(job)), JobState.PAUSED)
    waiting = pair.job(job)["waiting"]
    assert (waiting["cause"], waiting["owner"], waiting["until"]) == ("paused", "operator", None)
    assert set(causes(pair, job).values()) == {"paused"}
