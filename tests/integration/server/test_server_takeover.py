"""A worker that was interrupted shows its lease; one that stops gives its assignment back."""

import pytest

from server.timer import suspect_missed_leases
from tests.support.scripted import Json, World, held, train_result

pytestmark = pytest.mark.integration


@pytest.fixture
def job(pair: World) -> str:
    """A job in its first round."""
    job = pair.launch(rounds={"count": 1, "max_attempts": 2})
    pair.plan(job)
    return job


@pytest.fixture
def claim(pair: World, job: str) -> Json:
    """The claim of c1."""
    claim = pair.clients["c1"].claim()
    assert claim is not None
    assert claim["job_id"] == job
    return claim


def miss_lease(world: World, claim: Json) -> None:
    world.execute(
        "UPDATE assignments SET lease_until = now() - interval '1 s' WHERE id = :id",
        id=claim["assignment_id"],
    )
    suspect_missed_leases(world.context)


def column(world: World, claim: Json, name: str) -> object:
    query = f"SELECT {name} FROM assignments WHERE id = :id"  # noqa: S608  # a column's name from this file
    return world.value(query, id=claim["assignment_id"])


def events(world: World, job: str) -> list[Json]:
    found: list[Json] = world.viewer.ok("GET", f"/v1/jobs/{job}/events")["items"]
    return found


def test_a_current_lease_is_renewed_and_is_the_same_attempt(
    pair: World, job: str, claim: Json
) -> None:
    pair.execute("UPDATE assignments SET lease_until = now() + interval '1 s'")
    before = events(pair, job)
    assert pair.clients["c1"].claim(claim) == claim
    assert column(pair, claim, "lease_until > now() + interval '30 s'")
    assert column(pair, claim, "state") == "leased"
    assert events(pair, job) == before, "nothing changed"


def test_a_suspect_assignment_is_taken_over_at_once(pair: World, job: str, claim: Json) -> None:
    miss_lease(pair, claim)
    assert pair.clients["c1"].claim(claim) == claim
    assert column(pair, claim, "state") == "leased"
    last = events(pair, job)[-1]
    assert last["kind"] == "assignment.leased"
    assert last["data"]["resumed"] is True
    assert pair.value("SELECT count(*) FROM attempts WHERE assignment_id = :id", **by(claim)) == 1
    assert pair.clients["c1"].report(claim, "result", **train_result({})).is_success


def by(claim: Json) -> Json:
    return {"id": claim["assignment_id"]}


def test_a_suspect_assignment_waits_while_the_client_holds_another(
    pair: World, claim: Json
) -> None:
    miss_lease(pair, claim)
    other = pair.launch()
    pair.plan(other)
    pair.execute(
        "UPDATE assignments SET not_before = now() + interval '1 h' WHERE id = :id", **by(claim)
    )
    second = pair.clients["c1"].claim()
    assert second is not None
    assert second["job_id"] == other
    assert pair.clients["c1"].claim(claim) is None
    assert column(pair, claim, "state") == "suspect"


def test_a_stale_lease_is_a_claim_like_any_other(pair: World, claim: Json) -> None:
    miss_lease(pair, claim)
    second = pair.clients["c1"].claim()
    assert second is not None
    assert pair.clients["c1"].claim(claim) is None, "the client holds the second attempt"
    miss_lease(pair, second)
    assert pair.clients["c1"].claim(claim) is None, "both attempts are used up"
    assert column(pair, claim, "failure_code") == "attempts_exhausted"


def test_an_ended_assignment_or_job_is_not_taken_over(pair: World, job: str, claim: Json) -> None:
    caller = pair.clients["c1"]
    assert caller.report(claim, "result", **train_result({})).is_success
    assert caller.claim(claim) is None
    other = pair.clients["c2"].claim()
    assert other is not None
    pair.operator.ok("POST", f"/v1/jobs/{job}/cancel")
    assert pair.clients["c2"].claim(other) is None


def test_somebody_elses_lease_gives_the_callers_own_work(pair: World, claim: Json) -> None:
    own = pair.clients["c2"].claim(claim)
    assert own is not None
    assert own["assignment_id"] != claim["assignment_id"]
    assert pair.planner.claim(claim) is None


def test_an_unknown_assignment_is_a_claim_like_any_other(pair: World, claim: Json) -> None:
    unknown = {**claim, "assignment_id": claim["lease"]["id"]}
    own = pair.clients["c2"].claim(unknown)
    assert own is not None


@pytest.mark.parametrize("suspect", [False, True])
def test_a_released_attempt_does_not_count(
    pair: World, job: str, claim: Json, *, suspect: bool
) -> None:
    caller = pair.clients["c1"]
    for attempt in range(1, 5):  # max_attempts is 2
        assert claim["lease"]["attempt"] == attempt
        if suspect:
            miss_lease(pair, claim)
        view = caller.report(claim, "release")
        assert view.json()["state"] == "queued", view.text
        assert events(pair, job)[-1]["data"]["released"] is True
        claim = caller.claim() or {}
    for _ in range(2):
        last = caller.report(claim, "failure", code="internal", message="x").json()
        claim = caller.claim() or claim
    assert last["state"] == "failed"
    assert last["attempt"] == 6


def test_what_is_released_waits_for_its_worker(pair: World, claim: Json) -> None:
    pair.execute("UPDATE outbox SET sent_at = now()")
    pair.clients["c1"].report(claim, "release")
    waiting = "SELECT count(*) FROM outbox WHERE sent_at IS NULL AND argument = :id"
    assert pair.value(waiting, **by(claim)) == 1


def test_only_the_current_lease_can_be_released(pair: World, claim: Json) -> None:
    caller = pair.clients["c1"]
    path = f"/v1/assignments/{claim['assignment_id']}/release"
    wrong = {**held(claim), "attempt": 2}
    assert caller("POST", path, json=wrong).json()["code"] == "stale_lease"
    assert pair.clients["c2"].report(claim, "release").status_code == 404
    assert caller.report(claim, "release").is_success
    assert caller.report(claim, "release").status_code == 409, "it is no longer held"
    assert caller.report(claim, "result", **train_result({})).status_code == 409


NAME = "11111111-2222-4333-8444-555555555555"


def test_a_claim_whose_answer_was_lost_is_answered_again(pair: World, job: str) -> None:
    caller = pair.clients["c1"]
    first = caller.claim(lease_id=NAME)
    assert first is not None
    assert first["lease"]["id"] == NAME
    before = events(pair, job)
    assert caller.claim() is None, "another worker of the client is given nothing"
    assert caller.claim(lease_id=NAME) == first
    assert events(pair, job) == before
    miss_lease(pair, first)
    assert caller.claim(lease_id=NAME) == first
    assert events(pair, job)[-1]["data"]["resumed"] is True
    assert column(pair, first, "attempt") == 1


def test_a_name_that_a_lease_has_had_is_not_given_again(pair: World, job: str) -> None:
    caller = pair.clients["c1"]
    first = caller.claim(lease_id=NAME)
    assert first is not None
    caller.report(first, "failure", code="internal", message="x")
    second = caller.claim(lease_id=NAME)
    assert second is not None
    assert second["lease"]["id"] != NAME
    assert second["lease"]["attempt"] == 2
    assert pair.job(job)["state"] == "running"


def test_a_lease_s_name_is_a_uuid_and_nobody_else_s(pair: World, claim: Json) -> None:
    other = pair.clients["c2"].claim(lease_id=claim["lease"]["id"])
    assert other is not None
    assert other["assignment_id"] != claim["assignment_id"]
    headers = {"Lease-Id": "mine"}
    answer = pair.clients["c1"]("POST", "/v1/assignments:claim", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
