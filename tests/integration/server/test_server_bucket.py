"""Artifacts in a bucket, API replicas with disks of their own: a whole job, and faults."""

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from cli.stack.processes import Processes
from server.aggregation.process import Aggregator
from server.context import make_context
from server.database import make_engine
from server.main import create_app
from server.settings import ServerSettings
from server.upkeep.collect import collect_shard, drop_parts
from server.upkeep.scrub import Scrub, scrub
from server.watchdog import findings
from shared.artifacts import SHARDS, StoreAwayError
from tests.support import invariants
from tests.support.bucket import Bucket, serving
from tests.support.scripted import (
    DEAD_REDIS,
    Caller,
    Json,
    World,
    component_bytes,
    make_settings,
    make_world,
    offer,
    sha,
    wish,
)

pytestmark = pytest.mark.integration
GOOD = component_bytes(1, 2, 3)
SCORE = {"metric": "accuracy", "value": 0.8, "reference": 0.5, "skill": 0.6, "n": 5}


@pytest.fixture(scope="module")
def bucket(processes: Processes, server_directory: Path) -> Iterator[Bucket]:
    with serving(processes, server_directory / "s3-of-servers.log") as found:
        yield found


@dataclass
class Replicas:
    """One replica, whose clients' callers speak to it, and another one of the same API."""

    world: World
    other: TestClient

    def there(self, caller: Caller) -> Caller:
        """The same caller at the other replica."""
        return replace(caller, http=self.other)


def settings(database_url: str, disk: Path, bucket: Bucket) -> ServerSettings:
    made = make_settings(database_url, disk, DEAD_REDIS)
    return made.model_copy(update={"artifacts_url": bucket.url})


@pytest.fixture
def replicas(
    bucket: Bucket, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Replicas]:
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    bucket.url = f"s3://tapestry/{tmp_path.name}"
    world = make_world(settings(database_url, tmp_path / "one", bucket))
    other = TestClient(create_app(settings(database_url, tmp_path / "other", bucket)))
    with world.http, other:
        world.add_client("c1", offer())
        world.add_client("c2", offer(train={"general": 30}))
        yield Replicas(world, other)
        invariants.check(world.context.sessions, world.context.store)


def averaging(world: World, database_url: str, disk: Path, bucket: Bucket, job: str) -> None:
    """Advance as a coordinator on a third host does, with its averaging process."""
    engine = make_engine(database_url)
    with Aggregator(64 << 20, timedelta(seconds=60)) as own:
        made = make_context(settings(database_url, disk, bucket), engine, own.aggregate)
        replace(world, context=made).advance(job)
    engine.dispose()


def test_a_whole_job_on_two_replicas_and_a_coordinator_elsewhere(
    replicas: Replicas, database_url: str, tmp_path: Path, bucket: Bucket
) -> None:
    world = replicas.world
    job = world.launch()
    world.plan(job)
    for _ in (1, 2):
        world.train("c1", 1.0)
        elsewhere = replace(
            world, clients={name: replicas.there(c) for name, c in world.clients.items()}
        )
        elsewhere.train("c2", 5.0)
        averaging(world, database_url, tmp_path / "coordinator", bucket, job)
    mean = component_bytes(4.0, 4.0, 4.0)  # (10 * 1 + 30 * 5) / 40
    assert bucket.get(sha(mean)) == mean
    for kind in ("personalize", "evaluate"):
        for caller in world.clients.values():
            claim = caller.claim()
            assert claim is not None
            assert claim["kind"] == kind
            check_download(replicas.there(caller), claim)
            assert caller.report(claim, "result", **result(kind)).is_success
        world.advance(job)
    assert world.job(job)["state"] == "succeeded"
    assert (tmp_path / "coordinator" / sha(mean)[:2] / sha(mean)).read_bytes() == mean


def result(kind: str) -> Json:
    if kind == "personalize":
        return {"kind": kind, "losses": {}, "state_digest": "b" * 64}
    return {"kind": kind, "scores": {"distilled": {"digits": SCORE}}}


def check_download(caller: Caller, claim: Json) -> None:
    """All at once, and one in ranges."""
    names = list(dict.fromkeys(claim["manifest"].values()))
    whole = caller("POST", "/v1/artifacts:bundle", json={"sha256": names})
    assert whole.status_code == 200
    path = f"/v1/artifacts/{names[0]}"
    data = caller("GET", path).content
    assert whole.content.startswith(data)
    assert hashlib.sha256(data).hexdigest() == names[0]
    part = caller("GET", path, headers={"Range": "bytes=4-9"})
    assert (part.status_code, part.content) == (206, data[4:10])
    outside = caller("GET", path, headers={"Range": f"bytes={len(data)}-"})
    assert outside.status_code == 416
    assert int(caller("HEAD", path).headers["content-length"]) == len(data)


@pytest.fixture
def claim(replicas: Replicas) -> Json:
    """The first round's assignment of c1."""
    job = replicas.world.launch()
    replicas.world.plan(job)
    found = replicas.world.clients["c1"].claim()
    assert found is not None
    return found


def test_an_upload_that_resumes_at_another_replica_begins_again(
    replicas: Replicas, claim: Json
) -> None:
    here = replicas.world.clients["c1"]
    there = replicas.there(here)
    upload = here.ok("POST", "/v1/uploads", json=wish(claim, {"proj": GOOD}))
    assert here.send(upload["id"], GOOD[:10], 0).json()["offset"] == 10
    ahead = there.send(upload["id"], GOOD[10:], 10)
    assert (ahead.status_code, ahead.json()["code"]) == (409, "wrong_offset")
    assert there.ok("GET", f"/v1/uploads/{upload['id']}")["offset"] == 0
    assert there.send(upload["id"], GOOD, 0).json()["complete"]
    assert here.ok("GET", f"/v1/uploads/{upload['id']}")["complete"]
    left = replicas.world.context.store.root / "parts"
    assert [path.stat().st_size for path in left.iterdir()] == [10]
    replicas.world.context.settings.unreferenced_kept = timedelta(0)
    drop_parts(replicas.world.context)
    assert list(left.iterdir()) == []


def test_two_replicas_may_complete_the_same_upload(replicas: Replicas, claim: Json) -> None:
    here = replicas.world.clients["c1"]
    for caller in (here, replicas.there(here)):
        upload = caller.ok("POST", "/v1/uploads", json=wish(claim, {"proj": GOOD}))
        caller.send(upload["id"], GOOD, 0)
        assert caller.ok("GET", f"/v1/uploads/{upload['id']}")["complete"]


def test_an_upload_waits_for_a_bucket_that_is_away(
    replicas: Replicas, claim: Json, bucket: Bucket
) -> None:
    caller = replicas.world.clients["c1"]
    upload = caller.ok("POST", "/v1/uploads", json=wish(claim, {"proj": GOOD}))
    bucket.go_away()
    away = caller.send(upload["id"], GOOD, 0)
    assert (away.status_code, away.json()["code"]) == (503, "unavailable")
    assert "artifact store does not answer" in away.json()["detail"]
    assert away.headers["Retry-After"]
    assert caller("GET", "/readyz").status_code == 503
    bucket.come_back()
    assert caller("GET", "/readyz").status_code == 200
    assert caller.ok("GET", f"/v1/uploads/{upload['id']}")["offset"] == len(GOOD), "nothing is lost"
    assert caller.send(upload["id"], b"", len(GOOD)).json()["complete"]
    assert bucket.get(sha(GOOD)) == GOOD


def test_downloads_and_averages_wait_for_a_bucket_that_is_away(
    replicas: Replicas, bucket: Bucket
) -> None:
    world = replicas.world
    job = world.trained()
    bucket.go_away()
    world.advance(job)
    world.advance(job)
    assert world.job(job)["state"] == "running"
    attempts = "SELECT attempt FROM rounds WHERE job_id = :job AND phase = 'train'"
    assert world.value(attempts, job=job) == 0, "that was no failed attempt"
    operator = replicas.there(world.operator)
    name = sha(component_bytes(1.0, 1.0, 1.0))
    assert operator("GET", f"/v1/artifacts/{name}").status_code == 503
    bucket.come_back()
    assert operator("GET", f"/v1/artifacts/{name}").status_code == 200
    world.execute("UPDATE rounds SET lease_until = now() WHERE state = 'aggregating'")
    world.advance(job)
    assert [v["number"] for v in world.viewer.ok("GET", f"/v1/jobs/{job}/versions")["items"]] == [
        0,
        1,
    ]


def test_a_damaged_object_is_noticed_and_enters_nothing(
    replicas: Replicas, database_url: str, tmp_path: Path, bucket: Bucket
) -> None:
    world = replicas.world
    job = world.trained()
    name, whole = sha(component_bytes(1.0, 1.0, 1.0)), component_bytes(1.0, 1.0, 1.0)
    bucket.put(name, component_bytes(1.0, 1.0, 2.0))
    averaging(world, database_url, tmp_path / "coordinator", bucket, job)
    events = world.viewer.ok("GET", f"/v1/jobs/{job}/events")["items"]
    assert "arrived as" in events[-1]["data"]["reason"]
    assert events[-1]["kind"] == "round.aggregation_failed"
    operator = replicas.there(world.operator)
    assert operator("GET", f"/v1/artifacts/{name}").status_code == 404
    list(scrub(world.context))
    with world.context.sessions.begin() as session:
        (said,) = findings(session)
    assert f"{name} is damaged: restore {bucket.url}/{name[:2]}/{name} from a backup" in said
    bucket.put(name, whole)
    list(scrub(world.context))
    with world.context.sessions.begin() as session:
        assert findings(session) == []
    world.execute("UPDATE rounds SET lease_until = now() WHERE state = 'aggregating'")
    averaging(world, database_url, tmp_path / "coordinator", bucket, job)
    assert world.viewer.ok("GET", f"/v1/jobs/{job}/versions/1")["number"] == 1


def test_nothing_is_called_missing_while_the_bucket_is_away(
    replicas: Replicas, bucket: Bucket
) -> None:
    world = replicas.world
    world.trained()
    work = Scrub(world.context)
    bucket.go_away()
    with pytest.raises(StoreAwayError):
        work.sweep()
    with pytest.raises(StoreAwayError):
        collect_shard(world.context, SHARDS[0])
    bucket.come_back()
    work.sweep()
    with world.context.sessions.begin() as session:
        assert findings(session) == []


def test_what_nobody_needs_is_collected_from_the_bucket(replicas: Replicas, bucket: Bucket) -> None:
    world = replicas.world
    job = world.trained()
    world.advance(job)
    stray = world.context.store.write([b"nobody needs it"])
    world.context.settings.unreferenced_kept = timedelta(0)
    gone = {name for shard in SHARDS for name in collect_shard(world.context, shard)}
    assert gone == {stray}
    assert bucket.get(stray) is None


def test_a_server_without_the_extra_says_so(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket: Bucket
) -> None:

    monkeypatch.delitem(sys.modules, "server.bucket", raising=False)
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(ImportError, match="obstore"):
        create_app(settings(database_url, tmp_path, bucket))


def test_results_of_a_damaged_copy_are_made_of_the_object(
    replicas: Replicas, database_url: str, tmp_path: Path, bucket: Bucket
) -> None:
    world = replicas.world
    job = world.trained()
    name, disk = sha(component_bytes(1.0, 1.0, 1.0)), tmp_path / "coordinator"
    damaged = disk / name[:2] / name
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(component_bytes(9.0, 9.0, 9.0))
    averaging(world, database_url, disk, bucket, job)
    mean = component_bytes(4.0, 4.0, 4.0)
    manifest = world.viewer.ok("GET", f"/v1/jobs/{job}/versions/1")["manifest"]
    assert manifest["proj"]["sha256"] == sha(mean)


def test_a_personal_model_is_read_at_any_replica_until_it_is_deleted(
    replicas: Replicas, bucket: Bucket
) -> None:
    owner = replicas.world.add_client("c3", {**offer(), "shelf": "plain"})
    job = replicas.world.launch(shelf="plain")
    model, name = bytes(range(256)) * 20, sha(bytes(range(256)) * 20)
    wanted = {"form": "plain", "sha256": name, "n_bytes": len(model), "state_digest": "a" * 64}
    address = f"/v1/jobs/{job}/shelf"
    view = owner.ok("POST", address, json=wanted)
    sent = owner("PATCH", f"{address}/{view['id']}", content=model, headers={"Upload-Offset": "0"})
    assert sent.json()["complete"]
    assert bucket.get(name) == model
    there = replicas.there(owner)
    part = there("GET", f"{address}/{view['id']}", headers={"Range": "bytes=5-9"})
    assert (part.status_code, part.content) == (206, model[5:10])
    bucket.go_away()
    assert there("GET", f"{address}/{view['id']}").content == model, "it has a copy by now"
    assert there("DELETE", address).status_code == 200, "the row is gone, the object waits"
    assert there("GET", f"{address}/{view['id']}").status_code == 404
    bucket.come_back()
    assert owner("GET", f"{address}/{view['id']}").status_code == 404
    replicas.world.context.settings.unreferenced_kept = timedelta(0)
    assert collect_shard(replicas.world.context, name[:2]) == [name], "what could not go goes now"
    assert bucket.get(name) is None
