"""What the shelf takes of the server's disk: reserved, kept, read again, given up, collected."""

import os
import time
from datetime import timedelta

import pytest

from server.shelf.service import drop_abandoned
from server.upkeep.collect import collect_shard, drop_parts
from server.upkeep.scrub import scrub
from server.watchdog import findings
from tests.support.scripted import World, sha
from tests.support.shelving import (
    MODEL,
    OTHER,
    add_shelf_pair,
    announced,
    code,
    parts,
    put,
    send,
    wish,
)

pytestmark = pytest.mark.integration

DAYS_8 = 8 * 24 * 3600.0


@pytest.fixture
def pair(world: World) -> World:
    return add_shelf_pair(world)


@pytest.fixture
def job(pair: World) -> str:
    return pair.launch(shelf="encrypted")


def old(world: World) -> None:
    at = time.time() - DAYS_8
    for path in (*world.context.store.root.glob("??/*"), *world.context.store.root.glob("parts/*")):
        os.utime(path, (at, at))


def collected(world: World) -> set[str]:
    names = [f"{n:02x}" for n in range(256)]
    return {sha256 for name in names for sha256 in collect_shard(world.context, name)}


def findings_of(world: World) -> list[str]:
    with world.context.sessions.begin() as session:
        return findings(session)


def test_space_is_reserved_and_a_full_disk_is_said_before_the_bytes_come(
    pair: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = pair.launch(shelf="plain")
    free = type("Usage", (), {"free": 2 * len(MODEL) - 1})
    monkeypatch.setattr("server.storage.shutil.disk_usage", lambda _: free)
    view = announced(pair.clients["c1"], job)
    full = pair.clients["c2"]("POST", f"/v1/jobs/{job}/shelf", json=wish(OTHER))
    assert (code(full), full.headers["Retry-After"]) == ((507, "no_space"), "30")
    pair.plan(pair.launch())
    pair.execute("UPDATE shelf_models SET announced_at = now() - interval '2 h'")
    assert announced(pair.clients["c2"], job, OTHER)["offset"] == 0
    late = pair.clients["c1"]("POST", f"/v1/jobs/{job}/shelf", json=wish())
    assert code(late) == (507, "no_space")
    pair.clients["c2"].ok("DELETE", f"/v1/jobs/{job}/shelf")
    assert announced(pair.clients["c1"], job)["id"] == view["id"]


def test_a_model_may_only_be_so_large(pair: World, job: str) -> None:
    pair.context.settings.shelf_model_bytes = 4096
    answer = pair.clients["c1"]("POST", f"/v1/jobs/{job}/shelf", json=wish(n_bytes=4097))
    assert code(answer) == (413, "too_large")
    assert "at most 4096 bytes" in answer.json()["detail"]
    pair.context.settings.shelf_model_bytes = len(MODEL)
    put(pair, job)


def test_what_is_there_is_never_collected_and_is_read_again_for_damage(
    pair: World, job: str
) -> None:
    put(pair, job)
    old(pair)
    assert collected(pair) == set()
    path = pair.context.store.path(sha(MODEL))
    path.write_bytes(OTHER)
    list(scrub(pair.context))
    events = pair.viewer.ok("GET", "/v1/events")["items"]
    assert [e["data"]["sha256"] for e in events if e["kind"] == "artifact.damaged"] == [sha(MODEL)]
    assert len(findings_of(pair)) == 1
    pair.clients["c1"].ok("DELETE", f"/v1/jobs/{job}/shelf")
    assert findings_of(pair) == [], "nobody is to restore what is deleted"


def test_a_crash_behind_a_deletion_leaves_a_file_that_is_collected(pair: World, job: str) -> None:
    put(pair, job)
    pair.execute("UPDATE shelf_models SET deleted_at = now()")
    old(pair)
    assert collected(pair) == {sha(MODEL)}


def test_what_nobody_finishes_is_given_up_after_a_day(pair: World, job: str) -> None:
    caller = pair.clients["c1"]
    view = announced(caller, job)
    send(caller, job, view["id"], MODEL[:9])
    old(pair)
    drop_parts(pair.context)
    drop_abandoned(pair.context)
    assert announced(caller, job)["offset"] == 9
    pair.execute("UPDATE shelf_models SET announced_at = now() - :age", age=timedelta(days=2))
    drop_abandoned(pair.context)
    assert parts(pair) == []
    assert announced(caller, job)["id"] != view["id"]
