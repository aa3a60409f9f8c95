"""Whose turn it is: priority first, then turns."""

import pytest

from server.timer import advance_due_jobs
from tests.support.scripted import World, job_spec

pytestmark = pytest.mark.integration


def test_jobs_of_one_priority_take_turns(pair: World) -> None:
    first, second = pair.launch(), pair.launch()
    for job in (first, second):
        pair.plan(job)
    served = []
    for _ in range(2):
        for _ in range(2):
            served.append(pair.train("c1", 1.0)["job_id"])
            assert pair.train("c2", 1.0)["job_id"] == served[-1]
            pair.advance(served[-1])
    assert served == [first, second, first, second]


def test_the_job_of_higher_priority_goes_first(pair: World) -> None:
    low, high = pair.launch(), pair.launch(priority=5)
    claims = [pair.planner.claim() for _ in range(2)]
    assert [claim["job_id"] for claim in claims if claim] == [high, low]


def test_the_coordinator_serves_the_highest_priority_first(pair: World) -> None:
    def submit(priority: int) -> str:
        spec = job_spec(["c1", "c2"], priority=priority)
        return str(pair.operator.ok("POST", "/v1/jobs", json=spec)["id"])

    middle, low, high = submit(0), submit(-7), submit(9)
    advance_due_jobs(pair.context)
    query = "SELECT string_agg(job_id::text, ' ' ORDER BY id) FROM events WHERE kind = :kind"
    assert pair.value(query, kind="job.planning").split() == [high, middle, low]
