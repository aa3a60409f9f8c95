"""Pausing and resuming: nothing begins, nothing is lost, no time is."""

from uuid import UUID

import pytest

from server.jobs import publishing
from server.jobs.advance import _step
from server.timer import advance_due_jobs, hint_again
from tests.support.scripted import World, train_result

pytestmark = pytest.mark.integration


@pytest.fixture
def job(pair: World) -> str:
    """A job in its first round."""
    job = pair.launch()
    pair.plan(job)
    return job


def ask(world: World, job: str, what: str) -> str:
    return str(world.operator.ok("POST", f"/v1/jobs/{job}/{what}")["state"])


def test_a_paused_job_begins_nothing_and_takes_what_is_in_hand(pair: World, job: str) -> None:
    claim = pair.clients["c1"].claim()
    assert claim is not None
    assert ask(pair, job, "pause") == ask(pair, job, "pause") == "paused"
    assert pair.clients["c2"].claim() is None
    assert pair.clients["c1"].report(claim, "heartbeat").json()["instruction"] == "continue"
    assert pair.clients["c1"].report(claim, "result", **train_result({})).is_success
    pair.execute("UPDATE rounds SET deadline_at = now() WHERE closed_at IS NULL")
    pair.advance(job)
    advance_due_jobs(pair.context)
    assert pair.job(job)["state"] == "paused"
    assert pair.value("SELECT state FROM rounds WHERE closed_at IS NULL") == "open"


def test_resuming_restores_state_and_times(pair: World) -> None:
    job = pair.launch(rounds={"count": 2, "quorum": 1, "grace": "PT10M"})
    pair.plan(job)
    pair.train("c1", 1.0)
    pair.advance(job)
    ask(pair, job, "pause")
    pair.execute("UPDATE jobs SET paused_at = paused_at - interval '30 min'")
    pair.execute(
        "UPDATE rounds SET quorum_at = quorum_at - interval '30 min', "
        "deadline_at = deadline_at - interval '30 min' WHERE closed_at IS NULL"
    )
    left = "SELECT deadline_at - now() > interval '59 min' FROM rounds WHERE closed_at IS NULL"
    assert not pair.value(left)
    assert ask(pair, job, "resume") == ask(pair, job, "resume") == "running"
    assert pair.value(left)
    pair.advance(job)
    assert pair.job(job)["round"] == 1, "the grace has not been used up by the pause"
    pair.train("c2", 1.0)
    pair.advance(job)
    assert pair.job(job)["round"] == 2


def test_a_job_is_paused_before_it_begins_and_while_it_plans(pair: World) -> None:
    job = pair.launch()
    claim = pair.planner.claim()
    assert claim is not None
    ask(pair, job, "pause")
    pair.planner.report(claim, "failure", code="internal", message="x")
    assert pair.planner.claim() is None
    assert ask(pair, job, "resume") == "planning"
    pair.plan(job)
    assert pair.job(job)["state"] == "running"


def test_what_was_aggregated_while_paused_is_made_again(pair: World, job: str) -> None:
    pair.train("c1", 1.0)
    pair.train("c2", 5.0)
    with pair.context.sessions.begin() as session:
        _step(pair.context, session, UUID(job))
    with pair.context.sessions.begin() as session:
        order = _step(pair.context, session, UUID(job))
    assert isinstance(order, publishing.Order)
    made = publishing.aggregate_round(pair.context, order)
    ask(pair, job, "pause")
    with pair.context.sessions.begin() as session:
        publishing.publish(session, order, made)
    pair.advance(job)
    assert pair.job(job)["state"] == "paused"
    assert len(pair.viewer.ok("GET", f"/v1/jobs/{job}/versions")["items"]) == 1
    assert pair.value("SELECT attempt FROM rounds WHERE closed_at IS NULL") == 0
    ask(pair, job, "resume")
    pair.advance(job)
    manifest = pair.viewer.ok("GET", f"/v1/jobs/{job}/versions/1")["manifest"]
    averaged = {name: average.sha256 for name, average in made.items()}
    assert {name: entry["sha256"] for name, entry in manifest.items()} == averaged
    assert pair.job(job)["round"] == 2


def test_a_version_of_a_cancelled_job_is_not_published(pair: World, job: str) -> None:
    pair.train("c1", 1.0)
    pair.train("c2", 5.0)
    for _ in range(2):
        with pair.context.sessions.begin() as session:
            order = _step(pair.context, session, UUID(job))
    assert isinstance(order, publishing.Order)
    made = publishing.aggregate_round(pair.context, order)
    ask(pair, job, "cancel")
    with pair.context.sessions.begin() as session:
        publishing.publish(session, order, made)
    pair.advance(job)
    assert pair.job(job)["state"] == "cancelled"
    assert len(pair.viewer.ok("GET", f"/v1/jobs/{job}/versions")["items"]) == 1


def test_a_paused_job_can_be_cancelled_and_then_not_resumed(pair: World, job: str) -> None:
    ask(pair, job, "pause")
    assert ask(pair, job, "cancel") == "cancelling"
    for what in ("pause", "resume"):
        answer = pair.operator("POST", f"/v1/jobs/{job}/{what}")
        assert answer.status_code == 409
        assert answer.json()["detail"].startswith(
            f"The job is cancelling: there is nothing to {what}"
        )
    pair.advance(job)
    assert pair.job(job)["state"] == "cancelled"


def test_workers_are_woken_when_a_job_goes_on(pair: World, job: str) -> None:
    waiting = "SELECT count(*) FROM outbox WHERE task = 'tapestry.wake' AND sent_at IS NULL"
    pair.execute("UPDATE outbox SET sent_at = now()")
    pair.execute("UPDATE assignments SET hint_at = now()")
    ask(pair, job, "pause")
    hint_again(pair.context)
    assert pair.value(waiting) == 0
    ask(pair, job, "resume")
    assert pair.value(waiting) == 2
