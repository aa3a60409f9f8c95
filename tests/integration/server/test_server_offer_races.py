"""An offer and a job that are made at the same moment: the job follows, whichever was first."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.orm import Session

from server.auth import Principal
from server.clients.service import put_offer
from server.columns import Scope
from server.jobs.service import submit
from shared.job_spec import JobSpec
from shared.messages import ClientOffer
from tests.support.patience import wait_for
from tests.support.scripted import World, job_spec

pytestmark = pytest.mark.integration

TASKS = {"digits": {"kind": "text_generation", "modalities": ["image", "text"]}}
WAITING = """
SELECT count(*) > 0 FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def offer(*modalities: str) -> dict[str, Any]:
    counts = {"train": {"general": 10}, "validation": 5, "test": 5}
    return {"tasks": {"digits": {"kind": "text_generation", "modalities": modalities, **counts}}}


def caller(scope: Scope, client: str | None = None) -> Principal:
    return Principal(uuid4(), scope, client)


@pytest.fixture
def pair(world: World) -> World:
    """Two clients that read images and texts."""
    for name in ("c1", "c2"):
        world.add_client(name, offer("image", "text"))
    return world


def changes(world: World, job: str) -> list[str]:
    items = world.viewer.ok("GET", f"/v1/jobs/{job}/events?limit=500")["items"]
    return [item["kind"] for item in items if item["kind"].startswith("client.")]


def at_once(first: Callable[[Session], object], then: Callable[[], object], world: World) -> None:
    """`then` begins while the transaction of `first` is open, waits for it, and goes on."""
    with ThreadPoolExecutor(1) as pool:
        with world.context.sessions.begin() as session:
            first(session)
            other = pool.submit(then)
            wait_for(lambda: world.value(WAITING), why=lambda: "it did not wait for the lock")
        other.result(timeout=20)


def test_an_offer_that_is_made_while_a_job_is_submitted_is_followed(pair: World) -> None:
    spec = JobSpec.model_validate(job_spec(["c1", "c2"], tasks=TASKS))
    stored = list[UUID]()

    def submitting(session: Session) -> None:
        stored.append(submit(session, caller(Scope.OPERATOR), spec, None).id)

    at_once(
        submitting,
        lambda: pair.clients["c1"].ok("PUT", "/v1/clients/c1/offer", json=offer("text")),
        pair,
    )
    job = str(stored[0])
    pair.advance(job)
    pair.plan(job)
    claim = pair.clients["c1"].claim()
    assert claim is not None
    assert claim["tasks"] == {"digits": ["text"]}
    assert changes(pair, job) == ["client.lost"]


def test_a_job_that_is_submitted_while_an_offer_is_made_freezes_the_new_one(pair: World) -> None:
    narrow = ClientOffer.model_validate(offer("text"))
    jobs = list[str]()

    def making(session: Session) -> None:
        put_offer(session, caller(Scope.CLIENT, "c1"), "c1", narrow)

    at_once(making, lambda: jobs.append(pair.launch(tasks=TASKS)), pair)
    pair.plan(jobs[0])
    claim = pair.clients["c1"].claim()
    assert claim is not None
    assert claim["tasks"] == {"digits": ["text"]}
    assert changes(pair, jobs[0]) == [], "nothing was lost: the job never had more"
