"""Whose turn it is: priority first, then turns."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from server.aggregation import Average, aggregate
from server.aggregation.beside import Beside
from server.jobs.advance import advance
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


def test_a_long_average_holds_up_no_other_job(pair: World) -> None:
    goes_on = threading.Event()

    def slow(*arguments: Any, **options: Any) -> Average:
        assert goes_on.wait(60)
        return aggregate(*arguments, **options)

    with Beside() as beside:
        context = replace(pair.context, aggregate=slow, averaging=beside)
        long = pair.trained()
        advance(context, UUID(long))
        other = pair.launch()
        pair.plan(other)
        pair.operator.ok("POST", f"/v1/jobs/{other}/cancel")
        advance(context, UUID(other))
        assert pair.job(other)["state"] == "cancelled"
        assert pair.job(long)["waiting"]["cause"] == "aggregating"
        goes_on.set()
    assert pair.job(long)["round"] == 2


class Full:
    """Has its hands full."""

    busy = True

    def run(self, work: Callable[[], object]) -> None:
        raise AssertionError(work)


def test_a_coordinator_with_its_hands_full_leaves_a_round_to_others(pair: World) -> None:
    job = pair.trained()
    advance(replace(pair.context, averaging=Full()), UUID(job))
    assert pair.job(job)["waiting"]["cause"] == "aggregation_due"
    pair.advance(job)
    assert pair.job(job)["round"] == 2
