"""What is collected, what never is, and damage that is noticed."""

import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from server.tables import UploadedComponent
from server.updates import service
from server.upkeep import collect
from server.upkeep.collect import Collector, collect_shard, drop_parts
from server.upkeep.references import referenced
from server.upkeep.scrub import Scrub, _note, scrub
from server.watchdog import findings
from tests.support.scripted import Json, World, component_bytes, sha

pytestmark = pytest.mark.integration

GOOD = component_bytes(1, 2, 3)
DAYS_8 = 8 * 24 * 3600.0


def age(path: Path, seconds: float = DAYS_8) -> None:
    at = time.time() - seconds
    os.utime(path, (at, at))


def collected(world: World) -> set[str]:
    """Make every file old and collect all."""
    for path in world.context.store.root.glob("??/*"):
        age(path)
    names = [f"{n:02x}" for n in range(256)]
    return {sha256 for name in names for sha256 in collect_shard(world.context, name)}


@pytest.fixture
def job(pair: World) -> str:
    """A job in its first round."""
    job = pair.launch()
    pair.plan(job)
    return job


def close_round(world: World, job: str) -> None:
    world.train("c1", 1.0)
    world.train("c2", 5.0)
    world.advance(job)


def end_long_ago(world: World) -> None:
    world.execute(
        "UPDATE rounds SET closed_at = now() - interval '8 d' WHERE closed_at IS NOT NULL"
    )


def test_versions_stay_and_contributions_go_a_week_after_their_round(pair: World, job: str) -> None:
    close_round(pair, job)
    assert collected(pair) == set(), "the round has just closed"
    end_long_ago(pair)
    assert collected(pair) == {sha(component_bytes(v, v, v)) for v in (1.0, 5.0)}
    for n in (0, 1):
        for entry in pair.viewer.ok("GET", f"/v1/jobs/{job}/versions/{n}")["manifest"].values():
            assert pair.context.store.has(entry["sha256"])
    assert pair.value("SELECT count(*) FROM artifacts WHERE sha256 = :s", s=sha_of(1.0)) == 1


def sha_of(value: float) -> str:
    return sha(component_bytes(value, value, value))


def test_what_an_open_round_needs_stays(pair: World, job: str) -> None:
    pair.train("c1", 1.0)
    claim = pair.clients["c2"].claim()
    assert claim is not None
    pair.clients["c2"].upload(claim, {"proj": GOOD})
    pair.execute("UPDATE artifacts SET created_at = now() - interval '8 d'")
    assert collected(pair) == set()
    assert pair.job(job)["state"] == "running"


def test_a_stray_file_goes_when_it_is_old(pair: World) -> None:
    store = pair.context.store
    name = store.write([GOOD])
    assert collect_shard(pair.context, name[:2]) == []
    age(store.path(name))
    foreign = store.path(name).with_name("notes.txt")
    foreign.write_text("x")
    age(foreign)
    assert collect_shard(pair.context, name[:2]) == [name]
    assert not store.has(name)
    assert foreign.exists()
    assert pair.value("SELECT count(*) FROM artifacts WHERE sha256 = :s", s=name) == 0


def test_a_shard_of_many_old_files_is_collected(
    pair: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement takes 65,535 values: four times 16,384 names are too many for one."""
    store = pair.context.store
    name = store.write([GOOD])
    names = [*(sha(bytes(n)) for n in range(16_400)), name]
    monkeypatch.setattr(store, "older", lambda *_: names)
    assert collect_shard(pair.context, "any") == [name]


def test_many_parts_that_nobody_owns_go(pair: World, monkeypatch: pytest.MonkeyPatch) -> None:
    stray = pair.context.store.new_part()
    parts = [stray, *(Path(f"{n:032x}") for n in range(65_536))]
    monkeypatch.setattr(collect, "older_files", lambda *_: parts)
    drop_parts(pair.context)
    assert not stray.exists()


def test_a_collector_goes_round(pair: World) -> None:
    name = pair.context.store.write([GOOD])
    age(pair.context.store.path(name))
    collector = Collector(pair.context)
    for _ in range(256):
        collector.sweep()
    assert not pair.context.store.has(name)


def claimed(world: World) -> Json:
    claim = world.clients["c1"].claim()
    assert claim is not None
    return claim


def test_bytes_that_are_collected_while_they_are_kept_are_kept_again(
    pair: World, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = claimed(pair)
    real, times = service._record, list[int]()

    def record(*arguments: Any) -> Any:
        if not times:
            times.append(1)
            age(pair.context.store.path(sha(GOOD)))
            assert collect_shard(pair.context, sha(GOOD)[:2]) == [sha(GOOD)]
        return real(*arguments)

    monkeypatch.setattr(service, "_record", record)
    assert pair.clients["c1"].upload(claim, {"proj": GOOD}).json()["complete"]
    assert pair.context.store.has(sha(GOOD))
    assert pair.job(job)["state"] == "running"


def test_a_reference_that_is_being_written_keeps_its_file(pair: World, job: str) -> None:
    """The collector finds the row locked, and leaves it."""
    claim = claimed(pair)
    store = pair.context.store
    name = store.write([GOOD])
    age(store.path(name))
    pair.execute("INSERT INTO artifacts (sha256, n_bytes) VALUES (:s, 1)", s=name)
    with pair.context.sessions.begin() as session:
        session.add(
            UploadedComponent(
                assignment_id=claim["assignment_id"],
                component="proj",
                sha256=name,
                n_bytes=len(GOOD),
            )
        )
        session.flush()
        assert collect_shard(pair.context, name[:2]) == []
        assert store.has(name)
        session.rollback()
    assert collect_shard(pair.context, name[:2]) == [name]
    assert pair.job(job)["state"] == "running"


WAITS_FOR_A_ROW = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND wait_event_type = 'Lock'"
)


def test_a_reference_waits_for_the_collector_and_notices(
    pair: World, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upload comes while the collector holds the row: it must keep its bytes again."""
    claim = claimed(pair)
    store = pair.context.store
    age(store.path(store.write([GOOD])))
    holds, calls = threading.Event(), list[int]()

    def slow(session: Any, wanted: Any, late: Any) -> set[str]:
        found = referenced(session, wanted, late)
        calls.append(1)
        if len(calls) == 2:  # the first asks for the whole directory, this one under the lock
            holds.set()
            while not pair.value(WAITS_FOR_A_ROW):
                time.sleep(0.01)
        return found

    monkeypatch.setattr("server.upkeep.collect.referenced", slow)
    collecting = threading.Thread(target=collect_shard, args=(pair.context, sha(GOOD)[:2]))
    collecting.start()
    assert holds.wait(5)
    assert pair.clients["c1"].upload(claim, {"proj": GOOD}).json()["complete"]
    collecting.join()
    assert store.has(sha(GOOD))
    assert pair.job(job)["state"] == "running"


def test_uploads_and_collecting_at_once_lose_nothing(pair: World, job: str) -> None:
    """Files that are old at once, and a collector that never rests."""
    pair.context.settings.unreferenced_kept = pair.context.settings.unreferenced_kept * -1
    claims = {name: caller.claim() for name, caller in pair.clients.items()}
    end = threading.Event()

    def collect_always() -> None:
        while not end.is_set():
            for n in range(256):
                collect_shard(pair.context, f"{n:02x}")

    collecting = threading.Thread(target=collect_always)
    collecting.start()
    try:
        for n in range(10):
            for name, claim in claims.items():
                assert claim is not None
                answer = pair.clients[name].upload(claim, {"proj": component_bytes(n, n, n)})
                assert answer.json().get("complete") or answer.status_code == 503, answer.text
    finally:
        end.set()
        collecting.join()
    for name in {row.sha256 for row in rows(pair)}:
        assert pair.context.store.has(name)
    assert pair.job(job)["state"] == "running"


def rows(world: World) -> list[UploadedComponent]:
    with world.context.sessions.begin() as session:
        return list(session.query(UploadedComponent))


def test_parts_that_nobody_owns_go(pair: World, job: str) -> None:
    claim = claimed(pair)
    caller = pair.clients["c1"]
    files = {"proj": {"sha256": sha(GOOD), "n_bytes": len(GOOD)}}
    held = {"lease_id": claim["lease"]["id"], "attempt": 1}
    wanted = {**held, "assignment_id": claim["assignment_id"], "components": files}
    upload = caller.ok("POST", "/v1/uploads", json=wanted)["id"]
    caller.send(upload, GOOD[:10], 0)
    store = pair.context.store
    stray, young, odd = store.new_part(), store.new_part(), store.root / "parts" / "odd name"
    odd.touch()
    for path in (stray, odd, store.root / "parts" / upload.replace("-", "")):
        age(path)
    drop_parts(pair.context)
    left = {path.name for path in (store.root / "parts").iterdir()}
    assert left == {young.name, upload.replace("-", "")}
    assert pair.job(job)["state"] == "running"


@pytest.fixture
def published(unchecked_pair: World) -> World:
    """One round is published; the tests damage its files."""
    job = unchecked_pair.launch()
    unchecked_pair.plan(job)
    close_round(unchecked_pair, job)
    return unchecked_pair


@pytest.mark.parametrize("how", ["is damaged", "is missing"])
def test_damage_is_reported_once_and_until_it_is_mended(
    published: World, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = published.context.store.path(sha_of(4.0))
    whole = path.read_bytes()
    with caplog.at_level(logging.ERROR, "server.upkeep.scrub"):
        list(scrub(published.context))
        assert reports(published) == []
        if how == "is damaged":
            path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        else:
            path.unlink()
        list(scrub(published.context))
        list(scrub(published.context))
    [said] = reports(published)
    assert f"{sha_of(4.0)} {how}: restore {path} from a backup." in said
    logged = [r.getMessage() for r in caplog.records if r.name == "server.upkeep.scrub"]
    assert logged == [said]
    path.write_bytes(whole)
    list(scrub(published.context))
    assert reports(published) == []


def test_a_file_that_has_come_again_since_it_was_looked_for_is_not_missing(
    published: World,
) -> None:
    _note(published.context, sha_of(4.0), "is missing")
    assert reports(published) == []


def reports(world: World) -> list[str]:
    with world.context.sessions.begin() as session:
        return findings(session)


def test_a_sweep_reads_no_more_than_it_may(published: World) -> None:
    published.context.settings.scrub_bytes = 10_000
    path = published.context.store.path(sha_of(4.0))
    path.write_bytes(b"x" * 20_000)
    work = Scrub(published.context)
    work.sweep()
    assert reports(published) == []
    for _ in range(20):
        work.sweep()
    assert len(reports(published)) == 1
