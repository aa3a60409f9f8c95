"""A disk that is full, and one that fails: nothing is recorded, and the next try succeeds."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.artifacts import ArtifactStore, ReadOnlyError
from tests.support.scripted import Json, World, component_bytes, sha

pytestmark = pytest.mark.integration

GOOD = component_bytes(1, 2, 3)
Break = Callable[[str, int], None]


@pytest.fixture
def break_disk(monkeypatch: pytest.MonkeyPatch) -> Break:
    """Lets a call of the system fail from now on."""

    def broken(call: str, number: int) -> None:
        def fail(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, call, fail)

    return broken


@pytest.fixture
def claim(pair: World) -> Json:
    """A training assignment of c1."""
    pair.plan(pair.launch())
    claim = pair.clients["c1"].claim()
    assert claim is not None
    return claim


def nothing_is_there(world: World) -> bool:
    query = "SELECT count(*) FROM uploaded_components WHERE sha256 = :s"
    recorded = world.value(query, s=sha(GOOD))
    return not recorded and not world.context.store.has(sha(GOOD))


def parts(world: World) -> list[Path]:
    return list((world.context.store.root / "parts").iterdir())


def test_a_disk_that_is_full_when_bytes_come(
    pair: World, claim: Json, break_disk: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = pair.clients["c1"]
    break_disk("write", errno.ENOSPC)
    answer = caller.upload(claim, {"proj": GOOD})
    assert (answer.status_code, answer.json()["code"]) == (507, "no_space")
    assert nothing_is_there(pair)
    monkeypatch.undo()
    assert caller.upload(claim, {"proj": GOOD}).json()["complete"]


@pytest.mark.parametrize(
    ("number", "status", "code"),
    [(errno.ENOSPC, 507, "no_space"), (errno.EIO, 503, "unavailable")],
)
def test_a_disk_that_opens_no_part(
    pair: World, claim: Json, monkeypatch: pytest.MonkeyPatch, number: int, status: int, code: str
) -> None:
    whole = os.open

    def opened(path: str | Path, *more: int) -> int:
        if Path(path).parent.name == "parts":
            raise OSError(number, os.strerror(number))
        return whole(path, *more)

    caller = pair.clients["c1"]
    monkeypatch.setattr(os, "open", opened)
    answer = caller.upload(claim, {"proj": GOOD})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    monkeypatch.undo()
    assert caller.upload(claim, {"proj": GOOD}).json()["complete"]


def test_a_disk_that_is_full_when_bytes_are_kept(
    pair: World, claim: Json, break_disk: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = pair.clients["c1"]
    break_disk("fsync", errno.ENOSPC)
    answer = caller.upload(claim, {"proj": GOOD})
    assert (answer.status_code, answer.json()["code"]) == (507, "no_space")
    assert nothing_is_there(pair)
    assert len(parts(pair)) == 1, "the bytes that came stay"
    assert not pair.context.store.read_only
    monkeypatch.undo()
    assert caller.upload(claim, {"proj": GOOD}).json()["complete"]
    assert parts(pair) == []


def test_a_failed_fsync_makes_the_store_read_only(
    pair: World, claim: Json, break_disk: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller, store = pair.clients["c1"], pair.context.store
    break_disk("fsync", errno.EIO)
    assert caller.upload(claim, {"proj": GOOD}).status_code == 503
    assert nothing_is_there(pair)
    assert parts(pair) == [], "what the disk holds of the bytes is unknown"
    monkeypatch.undo()
    answer = caller("POST", "/v1/uploads", json={"lease_id": claim["lease"]["id"]})
    assert answer.status_code == 422
    with pytest.raises(AssertionError, match="store_read_only"):
        caller.upload(claim, {"proj": GOOD})
    assert "disk failed" in pair.http.get("/readyz").json()["detail"]
    store.read_only = False  # as after a restart
    assert caller.upload(claim, {"proj": GOOD}).json()["complete"]


@pytest.fixture
def complete(pair: World) -> str:
    """A job whose round has all its results, and is to be averaged."""
    job = pair.launch(rounds={"count": 1})
    pair.plan(job)
    pair.train("c1", 1.0)
    pair.train("c2", 5.0)
    return job


def test_a_round_waits_for_a_sound_disk(
    pair: World, complete: str, break_disk: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_disk("fsync", errno.EIO)
    pair.advance(complete)
    monkeypatch.undo()
    for _ in range(10):
        pair.execute("UPDATE rounds SET lease_until = now() WHERE closed_at IS NULL")
        pair.advance(complete)
    waiting = pair.job(complete)["waiting"]
    assert (waiting["cause"], waiting["owner"]) == ("store_takes_no_writes", "operator")
    assert "Input/output error" in waiting["sentence"]
    assert "restart the coordinator" in waiting["sentence"]
    pair.context.store.read_only = False  # as after a restart
    pair.advance(complete)
    assert pair.job(complete)["state"] == "personalizing"


def test_a_round_waits_for_space_however_long_it_takes(
    pair: World, complete: str, break_disk: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_disk("fsync", errno.ENOSPC)
    for _ in range(10):
        pair.execute("UPDATE rounds SET lease_until = now() WHERE closed_at IS NULL")
        pair.advance(complete)
    assert pair.value("SELECT lease_until > now() FROM rounds WHERE closed_at IS NULL")
    view = pair.job(complete)
    assert (view["state"], view["waiting"]["cause"]) == ("running", "store_takes_no_writes")
    assert "No space left on device" in view["waiting"]["sentence"]
    events = pair.viewer.ok("GET", f"/v1/jobs/{complete}/events")["items"]
    reasons = [e["data"]["reason"] for e in events if e["kind"] == "round.aggregation_failed"]
    assert len(reasons) == 10
    assert all("No space left on device" in reason for reason in reasons)
    monkeypatch.undo()
    pair.execute("UPDATE rounds SET lease_until = now() WHERE closed_at IS NULL")
    pair.advance(complete)
    assert pair.job(complete)["state"] == "personalizing"
    assert pair.value("SELECT attempt FROM rounds WHERE phase = 'train'") == 0


def test_a_read_only_store_still_reads(tmp_path: Path, break_disk: Break) -> None:
    store = ArtifactStore(tmp_path)
    name = store.write([GOOD])
    break_disk("fsync", errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        store.write([b"other"])
    assert list((tmp_path / "parts").iterdir()) == []
    with pytest.raises(ReadOnlyError, match="restart"):
        store.write([b"other"])
    assert store.open_path(name).read_bytes() == GOOD
    cache = ArtifactStore(tmp_path / "cache", durable=False)
    assert cache.has(cache.write([GOOD]))
