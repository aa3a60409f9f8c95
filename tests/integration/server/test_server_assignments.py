"""Leases, repeated and late reports, failures, deadlines, cancelling."""

import threading
from typing import Any
from uuid import UUID

import pytest

from server.jobs.advance import _step, advance
from server.timer import advance_due_jobs, hint_again, suspect_missed_leases
from tests.support.scripted import Json, World, component_bytes, sha, train_result

pytestmark = pytest.mark.integration


@pytest.fixture
def job(pair: World) -> str:
    """A job in its first round, which is not extended."""
    job = pair.launch(rounds={"count": 2, "extensions": 0})
    pair.plan(job)
    return job


def claim_of(world: World, client: str) -> Json:
    claim = world.clients[client].claim()
    assert claim is not None
    return claim


def miss_lease(world: World, claim: Json) -> None:
    world.execute(
        "UPDATE assignments SET lease_until = now() - interval '1 s' WHERE id = :id",
        id=claim["assignment_id"],
    )
    suspect_missed_leases(world.context)


def pass_deadline(world: World, job: str) -> None:
    world.execute(
        "UPDATE rounds SET deadline_at = now() WHERE job_id = :id AND closed_at IS NULL", id=job
    )
    world.advance(job)


def state_of(world: World, claim: Json) -> str:
    return str(
        world.value("SELECT state FROM assignments WHERE id = :id", id=claim["assignment_id"])
    )


def test_a_client_holds_one_lease(pair: World, job: str) -> None:
    other = pair.launch()
    pair.plan(other)
    assert claim_of(pair, "c1")["job_id"] == job
    assert pair.clients["c1"].claim() is None


@pytest.mark.parametrize("body", [None, {}, {"held": None}], ids=str)
def test_who_has_nothing_to_do_is_told_so_with_a_body_or_without(
    pair: World, body: Json | None
) -> None:
    more: dict[str, Any] = {} if body is None else {"json": body}
    for caller in (pair.clients["c1"], pair.planner):
        answer = caller("POST", "/v1/assignments:claim", **more)
        assert (answer.status_code, answer.content) == (204, b"")
    assert pair.viewer("POST", "/v1/assignments:claim", **more).status_code == 403
    assert pair.http.post("/v1/assignments:claim", **more).status_code == 401


def test_a_missed_lease_may_resume(pair: World, job: str) -> None:
    claim = claim_of(pair, "c1")
    miss_lease(pair, claim)
    assert state_of(pair, claim) == "suspect"
    beat = pair.clients["c1"].report(claim, "heartbeat", progress=0.5).json()
    assert beat == {"instruction": "continue", "lease_seconds": 60.0}
    assert state_of(pair, claim) == "leased"
    kinds = [e["kind"] for e in pair.viewer.ok("GET", f"/v1/jobs/{job}/events")["items"]]
    assert kinds[-3:] == ["assignment.leased", "assignment.suspect", "assignment.leased"]


def test_an_earlier_attempt_is_fenced_off(pair: World, job: str) -> None:
    first = claim_of(pair, "c1")
    miss_lease(pair, first)
    second = claim_of(pair, "c1")
    assert second["assignment_id"] == first["assignment_id"]
    assert second["lease"]["attempt"] == 2
    caller = pair.clients["c1"]
    assert caller.report(first, "heartbeat").json()["instruction"] == "stale"
    for what, body in {
        "result": train_result({}),
        "failure": {"code": "internal", "message": "x"},
    }.items():
        answer = caller.report(first, what, **body)
        assert answer.status_code == 409
        assert answer.json()["code"] == "stale_lease"
    assert caller.upload(second, {"proj": component_bytes(1, 1, 1)}).json()["complete"]
    assert pair.job(job)["state"] == "running"


def test_a_repeated_result_answers_the_same(pair: World, job: str) -> None:
    claim = claim_of(pair, "c1")
    caller = pair.clients["c1"]
    first = caller.report(claim, "result", **train_result({}))
    assert first.status_code == 200
    assert caller.report(claim, "result", **train_result({})).json() == first.json()
    changed = train_result({}) | {"decisions": []}
    assert caller.report(claim, "result", **changed).json()["code"] == "stale_lease"
    assert caller.report(claim, "heartbeat").json()["instruction"] == "stale"
    assert pair.job(job)["state"] == "running"


def test_a_result_must_fit_its_assignment(pair: World, job: str) -> None:
    claim = claim_of(pair, "c1")
    caller = pair.clients["c1"]
    missing = caller.report(claim, "result", **train_result({"proj": "c" * 64}))
    assert missing.json()["code"] == "missing_upload"
    wrong = caller.report(claim, "result", kind="personalize", losses={})
    assert wrong.json()["code"] == "wrong_kind"
    losses = {"losses": {"birds": {"engaged": 1.0}}}
    unknown = caller.report(claim, "result", **(train_result({}) | losses))
    assert unknown.json()["code"] == "unknown_task"
    infinite = train_result({}) | {"traffic": {"bytes_down": 0, "bytes_up": 0, "seconds": 1e400}}
    path = f"/v1/assignments/{claim['assignment_id']}/result"
    body = str({**infinite, "lease_id": claim["lease"]["id"], "attempt": 1})
    text = body.replace("'", '"').replace("inf", "1e999").replace("None", "null")
    text = text.replace("True", "true")
    answer = caller("POST", path, content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert state_of(pair, claim) == "leased"
    assert pair.job(job)["state"] == "running"


def test_a_result_says_what_can_be_kept(pair: World, job: str) -> None:
    claim = claim_of(pair, "c1")
    caller = pair.clients["c1"]
    wrong = {"traffic": {"bytes_down": 0, "bytes_up": 0, "seconds": 1e20}}
    answer = caller.report(claim, "result", **(train_result({}) | wrong))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert answer.json()["detail"].startswith("Correct the result: traffic.seconds: is more than")
    assert state_of(pair, claim) == "leased"
    assert pair.job(job)["state"] == "running"


def test_a_retryable_failure_is_queued_again_until_attempts_end(pair: World, job: str) -> None:
    caller = pair.clients["c1"]
    for attempt in (1, 2, 3):
        claim = claim_of(pair, "c1")
        assert claim["lease"]["attempt"] == attempt
        view = caller.report(claim, "failure", code="out_of_memory", message="8 GiB").json()
        assert view["state"] == ("queued" if attempt < 3 else "failed")
    pair.advance(job)
    view = pair.job(job)
    assert view["state"] == "failed"
    assert view["failure"]["code"] == "quorum_missed"
    assert "c1: out_of_memory (8 GiB)" in view["failure"]["message"]


def test_a_back_off_delays_the_next_claim(pair: World, job: str) -> None:
    claim = claim_of(pair, "c1")
    pair.clients["c1"].report(claim, "failure", code="internal", message="x")
    pair.execute("UPDATE assignments SET not_before = now() + interval '1 h'")
    assert pair.clients["c1"].claim() is None
    assert pair.job(job)["state"] == "running"


def test_attempts_that_only_vanish_end_too(pair: World, job: str) -> None:
    for _ in range(3):
        miss_lease(pair, claim_of(pair, "c1"))
    assert pair.clients["c1"].claim() is None
    pair.advance(job)
    assert "c1: attempts_exhausted" in pair.job(job)["failure"]["message"]


def test_a_deadline_with_quorum_closes_the_round(pair: World) -> None:
    job = pair.launch(rounds={"count": 1, "quorum": 1})
    pair.plan(job)
    pair.train("c1", 1.0)
    late = claim_of(pair, "c2")
    pair.advance(job)
    assert pair.job(job)["state"] == "running"
    pass_deadline(pair, job)
    assert pair.job(job)["state"] == "personalizing"
    assert state_of(pair, late) == "superseded"
    answer = pair.clients["c2"].report(late, "result", **train_result({}))
    assert answer.json()["code"] == "stale_lease"
    manifest = pair.viewer.ok("GET", f"/v1/jobs/{job}/versions/1")["manifest"]
    assert manifest["proj"]["sha256"] == sha(component_bytes(1, 1, 1))


def test_a_deadline_without_quorum_fails_the_job(pair: World, job: str) -> None:
    pair.train("c1", 1.0)
    pass_deadline(pair, job)
    view = pair.job(job)
    assert view["state"] == "failed"
    assert view["failure"]["code"] == "quorum_missed"
    assert "c2: still queued" in view["failure"]["message"]
    [row] = pair.viewer.ok("GET", f"/v1/jobs/{job}/rounds")["items"]
    assert row["state"] == "failed"
    assert pair.viewer.ok("GET", f"/v1/jobs/{job}/report")["final_version"] == 0


def test_a_planner_that_cannot_plan_fails_the_job(pair: World) -> None:
    job = pair.launch()
    claim = pair.planner.claim()
    assert claim is not None
    pair.planner.report(claim, "failure", code="base_mismatch", message="other base")
    pair.advance(job)
    assert pair.job(job)["failure"]["code"] == "planning_failed"


def test_cancel_does_not_wait_for_a_dead_worker(pair: World, job: str) -> None:
    claim = claim_of(pair, "c1")
    assert pair.operator.ok("POST", f"/v1/jobs/{job}/cancel")["state"] == "cancelling"
    assert pair.clients["c1"].report(claim, "heartbeat").json()["instruction"] == "cancel"
    pair.advance(job)
    assert pair.job(job)["state"] == "cancelled"
    assert state_of(pair, claim) == "cancelled"
    assert pair.clients["c1"].report(claim, "heartbeat").json()["instruction"] == "cancel"
    assert pair.clients["c2"].claim() is None
    again = pair.operator.ok("POST", f"/v1/jobs/{job}/cancel")
    assert again["state"] == "cancelled"


def test_an_ended_job_cannot_be_cancelled(pair: World, job: str) -> None:
    pass_deadline(pair, job)
    answer = pair.operator("POST", f"/v1/jobs/{job}/cancel")
    assert answer.status_code == 409
    assert answer.json()["code"] == "job_ended"


def test_two_coordinators_at_once_publish_once(pair: World, job: str) -> None:
    pair.train("c1", 1.0)
    pair.train("c2", 5.0)
    errors: list[Exception] = []

    def work() -> None:
        try:
            advance(pair.context, UUID(job))
        except Exception as error:  # noqa: BLE001  # asserted below
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    pair.advance(job)
    assert pair.job(job)["round"] == 2
    versions = pair.viewer.ok("GET", f"/v1/jobs/{job}/versions")["items"]
    assert [v["number"] for v in versions] == [0, 1]


def test_an_aggregator_that_died_is_replaced(pair: World, job: str) -> None:
    pair.train("c1", 1.0)
    pair.train("c2", 5.0)
    for _ in range(2):  # one coordinator closes the round, takes its lease, and dies
        with pair.context.sessions.begin() as session:
            _step(pair.context, session, UUID(job))
    pair.advance(job)
    assert pair.job(job)["round"] == 1, "the lease is live: somebody else may be at work"
    pair.execute("UPDATE rounds SET lease_until = now() WHERE closed_at IS NULL")
    pair.advance(job)
    assert pair.job(job)["round"] == 2


def test_what_cannot_be_aggregated_fails_the_job_in_the_end(pair: World, job: str) -> None:
    pair.train("c1", 1.0)
    pair.train("c2", 5.0)
    pair.context.store.path(sha(component_bytes(1, 1, 1))).unlink()
    for _ in range(6):
        pair.execute("UPDATE rounds SET lease_until = now() WHERE closed_at IS NULL")
        pair.advance(job)
    view = pair.job(job)
    assert view["failure"]["code"] == "aggregation_failed"
    events = pair.viewer.ok("GET", f"/v1/jobs/{job}/events")["items"]
    assert sum(e["kind"] == "round.aggregation_failed" for e in events) == 5


def test_the_timer_alone_moves_a_job_on(pair: World, job: str) -> None:
    pair.train("c1", 1.0)
    pair.train("c2", 5.0)
    advance_due_jobs(pair.context)
    assert pair.job(job)["round"] == 2


def test_what_is_not_claimed_is_hinted_again(pair: World, job: str) -> None:
    waiting = "SELECT count(*) FROM outbox WHERE task = 'tapestry.wake' AND sent_at IS NULL"
    pair.execute("UPDATE outbox SET sent_at = now()")
    hint_again(pair.context)
    assert pair.value(waiting) == 0
    pair.execute("UPDATE assignments SET hint_at = now() WHERE job_id = :id", id=job)
    hint_again(pair.context)
    hint_again(pair.context)
    assert pair.value(waiting) == 2


def test_hints_come_less_and_less_often(pair: World, job: str) -> None:
    hinted = "SELECT max(created_at) FROM outbox WHERE task = 'tapestry.wake'"
    due = "SELECT min(hint_at) FROM assignments WHERE hint_at > now()"
    pauses = []
    for _ in range(5):
        pause = (pair.value(due) - pair.value(hinted)).total_seconds()
        pauses.append(5 * round(pause / 5))  # the clock went on between the two statements
        pair.execute("UPDATE assignments SET hint_at = now() WHERE job_id = :id", id=job)
        hint_again(pair.context)
    assert pauses == [5, 15, 45, 60, 60]


def test_the_database_itself_keeps_ends_final(pair: World, job: str) -> None:
    pass_deadline(pair, job)
    for statement in (
        "UPDATE jobs SET state = 'running'",
        "UPDATE rounds SET state = 'open'",
        "UPDATE assignments SET state = 'queued'",
        "DELETE FROM events",
        "UPDATE versions SET number = 9",
    ):
        with pytest.raises(Exception, match=r"cannot become|never changed"):
            pair.execute(statement)


def test_a_worker_s_full_disk_waits_however_often_it_is_full(pair: World) -> None:
    job = pair.launch(rounds={"count": 1, "max_attempts": 2})
    pair.plan(job)
    caller = pair.clients["c1"]
    for attempt in range(1, 6):
        claim = caller.claim()
        assert claim is not None
        assert claim["lease"]["attempt"] == attempt
        caller.report(claim, "failure", code="no_space", message="the disk is full")
        assert pair.value(
            "SELECT min(not_before) > now() + interval '25 s' FROM assignments "
            "WHERE client_id = 'c1' AND state = 'queued'"
        )
        pair.execute("UPDATE assignments SET not_before = now() WHERE state = 'queued'")
    assert pair.train("c1", 1.0)["lease"]["attempt"] == 6
