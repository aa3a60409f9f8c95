"""Rounds whose clients are missing: over-selection, grace, extensions, the failure budget."""

from unittest.mock import Mock

import pytest

from tests.support.scripted import Json, World, held, offer, train_result

pytestmark = pytest.mark.integration


@pytest.fixture
def five(world: World) -> World:
    """The app with five clients."""
    for n in range(1, 6):
        world.add_client(f"c{n}", offer())
    return world


def begin(world: World, **rounds: object) -> str:
    """A job in its first round."""
    job = world.launch(rounds={"count": 1, **rounds})
    world.plan(job)
    return job


def members(world: World, job: str) -> dict[str, str]:
    """The state of each client of the first round."""
    assignments = world.viewer.ok("GET", f"/v1/jobs/{job}/rounds/1")["assignments"]
    return {a["client"]: a["state"] for a in assignments}


def fail(world: World, client: str) -> None:
    claim = world.clients[client].claim()
    assert claim is not None
    answer = world.clients[client].report(claim, "failure", code="diverged", message="NaN")
    assert answer.json()["state"] == "failed"


def pass_time(world: World, job: str, column: str = "deadline_at", seconds: int = 0) -> None:
    statement = f"UPDATE rounds SET {column} = now() - :s * interval '1 s' WHERE closed_at IS NULL"  # noqa: S608  # a column's name from this file
    world.execute(statement, s=seconds)
    world.advance(job)


def events(world: World, job: str, kind: str) -> list[Json]:
    items = world.viewer.ok("GET", f"/v1/jobs/{job}/events")["items"]
    return [event["data"] for event in items if event["kind"] == kind]


def test_a_round_closes_with_the_clients_that_it_wants(five: World) -> None:
    job = begin(five, clients_per_round=2, over_selection=1.5)
    asked = sorted(members(five, job))
    assert len(asked) == 3
    five.train(asked[0], 1.0)
    five.advance(job)
    assert five.job(job)["state"] == "running"
    five.train(asked[1], 3.0)
    five.advance(job)
    assert five.job(job)["state"] == "personalizing"
    assert members(five, job)[asked[2]] == "superseded"
    manifest = five.viewer.ok("GET", f"/v1/jobs/{job}/versions/1")["manifest"]
    assert [c["client"] for c in manifest["proj"]["contributions"]] == asked[:2]


def test_a_round_with_its_quorum_waits_for_its_grace(five: World) -> None:
    job = begin(five, quorum=2, grace="PT10M")
    five.train("c1", 1.0)
    five.advance(job)
    assert five.value("SELECT quorum_at FROM rounds WHERE phase = 'train'") is None
    five.train("c2", 1.0)
    five.advance(job)
    assert five.job(job)["state"] == "running"
    due = "SELECT due_at <= now() + interval '10 s' FROM jobs"
    assert five.value(due), "the coordinator looks again in time"
    pass_time(five, job, "quorum_at", 600)
    assert five.job(job)["state"] == "personalizing"
    assert sorted(members(five, job).values()) == ["accepted"] * 2 + ["superseded"] * 3


def test_a_late_round_asks_others_and_still_takes_the_late(five: World) -> None:
    job = begin(five, clients_per_round=2)
    first = sorted(members(five, job))
    five.train(first[0], 1.0)
    pass_time(five, job)
    assert five.job(job)["state"] == "running"
    [extended] = events(five, job, "round.extended")
    [replacement] = set(members(five, job)) - set(first)
    assert extended["asked"] == replacement
    assert (extended["extension"], extended["reason"]) == (1, "the deadline passed")
    assert five.value("SELECT deadline_at > now() FROM rounds WHERE closed_at IS NULL")
    five.train(first[1], 3.0)
    five.advance(job)
    assert five.job(job)["state"] == "personalizing"
    assert members(five, job)[replacement] == "superseded"
    view = five.viewer.ok("GET", f"/v1/jobs/{job}/rounds/1")
    assert (view["quorum"], view["target"], view["extensions"]) == (2, 2, 1)


def test_failed_clients_are_replaced_at_once_while_there_are_others(five: World) -> None:
    job = begin(five, clients_per_round=2, extensions=10)
    for n in (1, 2, 3):
        active = sorted(c for c, state in members(five, job).items() if state == "queued")
        fail(five, active[0])
        five.advance(job)
        assert len(members(five, job)) == 2 + n
        assert five.job(job)["state"] == "running"
    assert [e["extension"] for e in events(five, job, "round.extended")] == [1, 2, 3]
    assert len(events(five, job, "assignment.failed")) == 3
    fail(five, next(c for c, state in members(five, job).items() if state == "queued"))
    five.advance(job)
    failure = five.job(job)["failure"]
    assert failure["code"] == "quorum_missed", "nobody is left to be asked"
    assert "got 0 of 5 results after 3 extensions and needs 2" in failure["message"]


def test_a_round_ends_after_its_last_extension(five: World) -> None:
    job = begin(five, extensions=2)
    for _ in range(2):
        pass_time(five, job)
        assert five.job(job)["state"] == "running"
    pass_time(five, job)
    assert five.job(job)["failure"]["code"] == "quorum_missed"
    assert len(events(five, job, "round.extended")) == 2


def test_stage_two_gets_time_but_no_replacements(five: World) -> None:
    job = begin(five, clients_per_round=1)
    [client] = members(five, job)
    five.train(client, 1.0)
    five.advance(job)
    assert five.job(job)["state"] == "personalizing"
    pass_time(five, job)
    assert five.job(job)["state"] == "personalizing"
    [extended] = events(five, job, "round.extended")
    assert (extended["phase"], extended["asked"]) == ("personalize", None)


def test_more_failures_than_the_budget_fail_the_job(five: World) -> None:
    job = begin(five, quorum=1, failure_budget=1)
    fail(five, "c1")
    five.advance(job)
    assert five.job(job)["state"] == "running"
    five.train("c2", 1.0)
    fail(five, "c3")
    five.advance(job)
    failure = five.job(job)["failure"]
    assert failure["code"] == "failure_budget"
    assert "2 assignments failed and rounds.failure_budget is 1" in failure["message"]
    assert "c3: diverged (NaN)" in failure["message"]


def training(world: World, job: str) -> list[Json]:
    """What the report says of who came to the training rounds."""
    rows = world.viewer.ok("GET", f"/v1/jobs/{job}/report")["attendance"]
    return [row for row in rows if row["phase"] == "train"]


def test_the_report_says_who_was_missing_and_what_nobody_delivered(five: World) -> None:
    job = begin(five, quorum=2)
    claim = five.train("c1", 1.0)
    fail(five, "c3")
    second = five.clients["c2"].claim()
    assert second is not None
    five.clients["c2"].report(second, "result", **train_result({}))
    pass_time(five, job)
    assert five.operator.ok("POST", f"/v1/jobs/{job}/cancel")
    five.advance(job)
    [row] = training(five, job)
    assert (row["round"], row["state"]) == (1, "published")
    assert row["asked"] == ["c1", "c2", "c3", "c4", "c5"]
    assert row["accepted"] == ["c1", "c2"]
    assert row["missing"] == [
        {"client": client, "state": state, "reason": reason, "components": claim["components"]}
        for client, state, reason in (
            ("c3", "failed", "diverged: NaN"),
            ("c4", "superseded", "the round closed without it"),
            ("c5", "superseded", "the round closed without it"),
        )
    ]
    assert row["not_delivered"] == {name: ["c2", "c3", "c4", "c5"] for name in claim["components"]}
    assert row["contributors"] == {name: ["c1"] for name in claim["components"]}
    assert row["carried_over"] == []


def test_who_is_missing_can_be_read_while_the_job_runs(five: World) -> None:
    job = begin(five, quorum=2)
    assert five.viewer("GET", f"/v1/jobs/{job}/report").status_code == 409
    claim = five.train("c1", 1.0)
    fail(five, "c3")
    [row] = five.viewer.ok("GET", f"/v1/jobs/{job}/attendance")["items"]
    assert (row["round"], row["phase"], row["state"]) == (1, "train", "open")
    assert row["accepted"] == ["c1"]
    assert {absence["client"]: absence["reason"] for absence in row["missing"]} == {
        "c2": "it has not delivered yet",
        "c3": "diverged: NaN",
        "c4": "it has not delivered yet",
        "c5": "it has not delivered yet",
    }
    assert row["not_delivered"] == {name: ["c2", "c3", "c4", "c5"] for name in claim["components"]}
    assert row["carried_over"] == [], "what is missing may still come"


def reasons(world: World, job: str) -> dict[str, str]:
    """Why each client is missing in the first round."""
    [row] = world.viewer.ok("GET", f"/v1/jobs/{job}/attendance")["items"]
    return {absence["client"]: absence["reason"] for absence in row["missing"]}


def fail_once(world: World, client: str) -> None:
    """An attempt that may be tried again."""
    claim = world.clients[client].claim()
    assert claim is not None
    answer = world.clients[client].report(claim, "failure", code="internal", message="no luck")
    assert answer.json()["state"] == "queued"


def test_a_client_that_works_again_is_not_listed_with_its_earlier_failure(five: World) -> None:
    job = begin(five, quorum=1)
    for client in ("c2", "c3", "c4"):
        fail_once(five, client)
    assert reasons(five, job)["c2"] == "internal: no luck", "nobody has begun again"
    again = five.clients["c2"].claim()
    assert again is not None
    assert reasons(five, job)["c2"] == "it has not delivered yet"
    parts = five.viewer.ok("GET", f"/v1/jobs/{job}/rounds/1")["assignments"]
    assert [(part["state"], bool(part["failure"])) for part in parts[1:3]] == [
        ("leased", False),
        ("queued", True),
    ]
    taken = five.clients["c3"].claim()
    assert taken is not None
    five.clients["c3"](
        "POST", f"/v1/assignments/{taken['assignment_id']}/release", json=held(taken)
    )
    five.train("c1", 1.0)
    pass_time(five, job)
    late = "the round closed without it"
    row, *_ = five.viewer.ok("GET", f"/v1/jobs/{job}/attendance")["items"]
    assert {a["client"]: (a["state"], a["reason"]) for a in row["missing"]} == {
        "c2": ("superseded", late),
        "c3": ("superseded", late),
        "c4": ("superseded", "internal: no luck"),
        "c5": ("superseded", late),
    }
    told = events(five, job, "assignment.queued")
    assert [event["reason"] for event in told if event.get("code")] == ["no luck"] * 3


def test_a_round_that_fails_while_a_client_tries_again_tells_how_it_went_before(
    five: World,
) -> None:
    job = begin(five, extensions=0)
    fail_once(five, "c1")
    assert five.clients["c1"].claim() is not None
    pass_time(five, job)
    message = five.job(job)["failure"]["message"]
    assert (
        "c1: still leased (attempt 1 ended with internal (no luck)); c2: still queued;" in message
    )


def test_the_report_of_a_failed_round_names_what_is_missing(five: World) -> None:
    job = begin(five, extensions=0)
    five.train("c1", 1.0)
    pass_time(five, job)
    [row] = training(five, job)
    assert row["state"] == "failed"
    assert {absence["reason"] for absence in row["missing"]} == {"the round failed"}


def test_what_nobody_delivered_is_carried_over(five: World) -> None:
    job = begin(five, quorum=1)
    claim = five.clients["c1"].claim()
    assert claim is not None
    five.clients["c1"].report(claim, "result", **train_result({}))
    pass_time(five, job)
    five.operator.ok("POST", f"/v1/jobs/{job}/cancel")
    five.advance(job)
    [row] = training(five, job)
    assert row["contributors"] == {}
    assert row["carried_over"] == claim["components"]


@pytest.mark.parametrize("budget", [None, 1])
def test_failures_are_read_where_there_is_a_budget(
    five: World, budget: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Mock(return_value=[])
    monkeypatch.setattr("server.jobs.advance.failed_assignments", read)
    five.advance(begin(five, failure_budget=budget))
    assert read.called is (budget is not None)


def test_failures_are_found_by_an_index(unchecked_pair: World) -> None:
    world = unchecked_pair
    job = begin(world)
    world.execute(
        "INSERT INTO rounds (id, job_id, phase, number, state, quorum, target, deadline_at) "
        "SELECT gen_random_uuid(), :job, 'train', n, 'failed', 1, 1, now() "
        "FROM generate_series(100, 5100) n",
        job=job,
    )
    world.execute(
        "INSERT INTO assignments (id, job_id, round_id, client_id, kind, state, components) "
        "SELECT gen_random_uuid(), job_id, id, 'c1', phase, 'superseded', '{}' "
        "FROM rounds WHERE number >= 100"
    )
    world.execute("ANALYZE assignments")
    query = "EXPLAIN (FORMAT JSON) SELECT * FROM assignments WHERE job_id = :job AND state = :state"
    assert "assignments_failed" in str(world.value(query, job=job, state="failed"))
