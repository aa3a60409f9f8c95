"""The coordinator as a process: by Celery, by timer alone, and its clean end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from server.celery_app import make_publish
from server.outbox import dispatch
from tests.support import invariants
from tests.support.patience import wait_for
from tests.support.scripted import DEAD_REDIS, World, job_spec, make_settings, make_world, offer

pytestmark = pytest.mark.integration


@pytest.fixture
def redis(redis_url: str) -> Iterator[Any]:
    """An empty Redis."""
    with Redis.from_url(redis_url) as client:
        client.flushall()
        yield client


def start(world: World, log: Path) -> subprocess.Popen[bytes]:
    settings = world.context.settings
    environment = {
        **os.environ,
        "TAPESTRY_DATABASE_URL": settings.database_url,
        "TAPESTRY_REDIS_URL": settings.redis_url,
        "TAPESTRY_ARTIFACTS_DIR": str(settings.artifacts_dir),
    }
    with log.open("a") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "server.background"],
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )


@pytest.mark.parametrize("alive", [True, False], ids=["redis", "no redis"])
def test_coordinators_move_a_job_on_and_end_cleanly(
    database_url: str, tmp_path: Path, redis_url: str, alive: bool
) -> None:
    settings = make_settings(database_url, tmp_path, redis_url if alive else DEAD_REDIS)
    world = make_world(settings)
    with world.http:
        world.add_client("c1", offer())
        log = tmp_path / "coordinators.log"
        processes = [start(world, log), start(world, log)]
        try:
            spec = job_spec(["c1"], rounds={"count": 1})
            job = world.operator.ok("POST", "/v1/jobs", json=spec)["id"]
            wait_for(lambda: world.job(job)["state"] == "planning")
            world.plan(job, then_advance=False)
            wait_for(lambda: world.job(job)["state"] == "running")
            world.train("c1", 1.0)
            wait_for(lambda: world.job(job)["state"] == "personalizing")
            wait_for(lambda: log.read_text().count("the coordinator begins") == len(processes))
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
            codes = [process.wait(timeout=45) for process in processes]
        assert codes == [0, 0], log.read_text()
        invariants.check(world.context.sessions, world.context.store)


def test_messages_reach_queues_that_the_sender_does_not_know(
    database_url: str, tmp_path: Path, redis: Any, redis_url: str
) -> None:
    world = make_world(make_settings(database_url, tmp_path, DEAD_REDIS))
    for name in ("c1", "c2"):  # the app is not started: nobody else sends
        world.add_client(name, offer())
    world.plan(world.launch())
    sessions = world.context.sessions
    assert dispatch(sessions, make_publish(DEAD_REDIS)) == 0
    world.execute("UPDATE outbox SET not_before = now()")
    assert dispatch(sessions, make_publish(redis_url)) >= 3
    [message] = redis.lrange("client.c1", 0, -1)
    assert json.loads(message)["headers"]["task"] == "tapestry.wake"
    assert redis.llen("client.c2") == redis.llen("planner") == 1
    assert redis.llen("coordinator") == 1
    assert dispatch(sessions, make_publish(redis_url)) == 0
    sessions.kw["bind"].dispose()


def test_a_queue_that_nobody_empties_does_not_grow_without_end(redis_url: str, redis: Any) -> None:
    publish = make_publish(redis_url)
    for _ in range(150):
        publish("tapestry.wake", "client.silent", "x")
    assert redis.llen("client.silent") == 100
    publish("tapestry.wake", "client.c1", "x")
    assert redis.llen("client.c1") == 1


def test_the_api_sends_after_the_commit(
    database_url: str, tmp_path: Path, redis_url: str, redis: Any
) -> None:
    world = make_world(make_settings(database_url, tmp_path, redis_url))
    with world.http:
        world.add_client("c1", offer())
        world.launch()
        wait_for(lambda: redis.llen("planner") == 1)
        sent = "SELECT count(*) FROM outbox WHERE sent_at IS NOT NULL"
        wait_for(lambda: bool(world.value(sent) >= 2))


def test_a_dead_broker_does_not_slow_a_request(pair: World) -> None:
    pair.launch()
    start = time.monotonic()
    pair.launch()
    assert time.monotonic() - start < 2.0
