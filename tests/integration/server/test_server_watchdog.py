"""The watchdog finds each kind of row without a future, and says it once."""

import logging

import pytest

from server.watchdog import find, findings, watch
from tests.support.scripted import World

pytestmark = pytest.mark.integration


@pytest.fixture
def job(unchecked_pair: World) -> str:
    """A job in its first round; the tests break it."""
    job = unchecked_pair.launch()
    unchecked_pair.plan(job)
    return job


def codes(world: World) -> list[str]:
    with world.context.sessions.begin() as session:
        return [finding.code for finding in find(session)]


BREAKS = {
    "overdue": "UPDATE jobs SET due_at = now() - interval '1 h'",
    "past_deadline": (
        "UPDATE rounds SET deadline_at = now() - interval '1 h' WHERE state = 'open'"
    ),
    "lease_forgotten": (
        "UPDATE assignments SET state = 'leased', lease_until = now() - interval '1 h' "
        "WHERE client_id = 'c1'"
    ),
    "never_hinted": (
        "UPDATE assignments SET hint_at = now() - interval '1 h', "
        "not_before = now() - interval '1 h' WHERE client_id = 'c1'"
    ),
    "aggregation_left": (
        "UPDATE rounds SET state = 'aggregating' WHERE state = 'open'; "
        "ALTER TABLE events DISABLE TRIGGER append_only; "
        "UPDATE events SET at = now() - interval '1 h'; "
        "ALTER TABLE events ENABLE TRIGGER append_only"
    ),
    "no_round": (
        "UPDATE assignments SET state = 'superseded' WHERE state = 'queued'; "
        "UPDATE rounds SET state = 'failed' WHERE state = 'open'"
    ),
    "outlived_its_round": (
        "UPDATE assignments SET state = 'superseded' WHERE client_id = 'c2'; "
        "UPDATE rounds SET state = 'failed' WHERE state = 'open'; "
        "UPDATE jobs SET state = 'failed'"
    ),
}


@pytest.mark.parametrize("code", BREAKS)
def test_each_row_without_a_future_is_found_once(
    unchecked_pair: World,
    job: str,
    code: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = unchecked_pair
    assert codes(world) == []
    for statement in BREAKS[code].split("; "):
        world.execute(statement)
    assert codes(world) == [code]
    with caplog.at_level(logging.ERROR, "server.watchdog"):
        watch(world.context)
        watch(world.context)
    assert [r.levelname for r in caplog.records if r.name == "server.watchdog"] == ["ERROR"]
    events = world.viewer.ok("GET", f"/v1/jobs/{job}/events")["items"]
    [event] = [e for e in events if e["kind"] == "watchdog.stuck"]
    with world.context.sessions.begin() as session:
        assert findings(session) == [event["data"]["reason"]]


def test_a_paused_job_is_not_stuck(unchecked_pair: World, job: str) -> None:
    world = unchecked_pair
    world.execute("UPDATE jobs SET state = 'paused', due_at = now() - interval '1 h'")
    world.execute(BREAKS["past_deadline"])
    world.execute(BREAKS["never_hinted"])
    assert codes(world) == []
    assert world.job(job)["state"] == "paused"


def test_a_job_that_was_paused_for_long_is_not_stuck_when_it_goes_on(
    unchecked_pair: World, job: str
) -> None:
    world = unchecked_pair
    world.operator.ok("POST", f"/v1/jobs/{job}/pause")
    world.execute("UPDATE jobs SET paused_at = paused_at - interval '1 h'")
    world.execute(BREAKS["never_hinted"])
    world.operator.ok("POST", f"/v1/jobs/{job}/resume")
    assert codes(world) == []


def test_an_aggregation_that_was_paused_for_long_is_not_stuck_when_it_goes_on(
    unchecked_pair: World, job: str
) -> None:
    world = unchecked_pair
    world.operator.ok("POST", f"/v1/jobs/{job}/pause")
    world.execute("UPDATE assignments SET state = 'superseded' WHERE state = 'queued'")
    for statement in BREAKS["aggregation_left"].split("; "):
        world.execute(statement)
    world.operator.ok("POST", f"/v1/jobs/{job}/resume")
    assert codes(world) == []
