"""Uploads: resumable, and refused before anything is recorded."""

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from server.tables import Upload
from server.timer import suspect_missed_leases
from server.updates import repository
from server.updates.service import drop_abandoned
from tests.support.patience import wait_for
from tests.support.scripted import Json, World, component_bytes, held, sha, wish

pytestmark = pytest.mark.integration

GOOD = component_bytes(1, 2, 3)
_WAITS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@pytest.fixture
def claim(pair: World) -> Json:
    """A training assignment of c1."""
    pair.plan(pair.launch())
    claim = pair.clients["c1"].claim()
    assert claim is not None
    return claim


def announce(world: World, claim: Json, data: bytes = GOOD, name: str = "proj") -> Json:
    view: Json = world.clients["c1"].ok("POST", "/v1/uploads", json=wish(claim, {name: data}))
    return view


def row_of(claim: Json) -> Upload:
    """What an announcement of one component leaves."""
    return Upload(
        id=uuid4(),
        assignment_id=UUID(claim["assignment_id"]),
        attempt=claim["lease"]["attempt"],
        digest="0" * 64,
        components={},
        n_bytes=len(GOOD),
    )


def parts(world: World) -> list[Path]:
    return list((world.context.store.root / "parts").iterdir())


def test_an_upload_resumes_where_it_broke_off(pair: World, claim: Json) -> None:
    caller = pair.clients["c1"]
    upload = announce(pair, claim)
    assert upload["offset"] == 0
    assert caller.send(upload["id"], GOOD[:10], 0).json()["offset"] == 10
    assert announce(pair, claim) == {**upload, "offset": 10}
    assert caller.ok("GET", f"/v1/uploads/{upload['id']}")["offset"] == 10
    done = caller.send(upload["id"], GOOD[10:], 10).json()
    assert done == {**upload, "offset": len(GOOD), "complete": True}
    assert pair.context.store.open_path(sha(GOOD)).read_bytes() == GOOD
    assert announce(pair, claim) == done
    assert caller.send(upload["id"], b"", len(GOOD)).json() == done
    assert parts(pair) == []


def test_an_idempotency_key_stands_for_one_announcement(pair: World, claim: Json) -> None:
    caller, headers = pair.clients["c1"], {"Idempotency-Key": "once"}
    for _ in range(2):
        made = caller.ok("POST", "/v1/uploads", json=wish(claim, {"proj": GOOD}), headers=headers)
        assert made == announce(pair, claim)
    body = wish(claim, {"head.digits": OTHER})
    refused = caller("POST", "/v1/uploads", json=body, headers=headers)
    assert refused.json()["code"] == "idempotency_key_reused"


OTHER = component_bytes(4, 5, 6)
BOTH = {"proj": GOOD, "head.digits": OTHER}


@pytest.mark.parametrize("cut", [10, len(GOOD), len(GOOD) + 10])
def test_components_come_as_one_stream(pair: World, claim: Json, cut: int) -> None:
    caller = pair.clients["c1"]
    view = caller.ok("POST", "/v1/uploads", json=wish(claim, BOTH))
    assert view["components"] == ["proj", "head.digits"]
    assert view["n_bytes"] == len(GOOD + OTHER)
    assert caller.send(view["id"], (GOOD + OTHER)[:cut], 0).json()["offset"] == cut
    assert not pair.context.store.has(sha(GOOD)), "nothing is kept before all is checked"
    assert caller.send(view["id"], (GOOD + OTHER)[cut:], cut).json()["complete"]
    for data in BOTH.values():
        assert pair.context.store.open_path(sha(data)).read_bytes() == data
    assert parts(pair) == []


def test_the_order_of_the_stream_is_the_first_announcement_s(pair: World, claim: Json) -> None:
    caller = pair.clients["c1"]
    view = caller.ok("POST", "/v1/uploads", json=wish(claim, BOTH))
    turned = dict(reversed(BOTH.items()))
    assert caller.ok("POST", "/v1/uploads", json=wish(claim, turned)) == view


def test_one_bad_component_refuses_the_stream_and_is_named(pair: World, claim: Json) -> None:
    files = {"proj": GOOD, "head.digits": component_bytes(math.nan, 0, 0)}
    answer = pair.clients["c1"].upload(claim, files)
    assert (answer.status_code, answer.json()["code"]) == (422, "not_finite")
    assert "head.digits" in answer.json()["detail"]
    assert not pair.context.store.has(sha(GOOD))
    query = "SELECT count(*) FROM uploaded_components WHERE sha256 = :sha"
    assert pair.value(query, sha=sha(GOOD)) == 0
    assert parts(pair) == []


def test_components_are_announced_together_or_not_at_all(pair: World, claim: Json) -> None:
    caller = pair.clients["c1"]
    before = pair.value("SELECT count(*) FROM uploads")
    wanted = wish(claim, BOTH)
    wanted["components"]["encoder.image"] = {"sha256": sha(GOOD), "n_bytes": len(GOOD) + 1}
    assert caller("POST", "/v1/uploads", json=wanted).json()["code"] == "wrong_length"
    assert pair.value("SELECT count(*) FROM uploads") == before


def test_bytes_that_all_came_before_a_crash_are_completed_by_announcing_again(
    pair: World, claim: Json
) -> None:
    caller = pair.clients["c1"]
    view = caller.ok("POST", "/v1/uploads", json=wish(claim, BOTH))
    part = pair.context.store.root / "parts" / view["id"].replace("-", "")
    part.write_bytes(GOOD + OTHER)
    assert caller.ok("POST", "/v1/uploads", json=wish(claim, BOTH))["complete"]
    assert pair.context.store.has(sha(OTHER))


def test_offsets_and_lengths_must_fit(pair: World, claim: Json) -> None:
    caller = pair.clients["c1"]
    upload = announce(pair, claim)["id"]
    ahead = caller.send(upload, GOOD[5:], 5)
    assert (ahead.status_code, ahead.json()["code"]) == (409, "wrong_offset")
    long = caller.send(upload, GOOD + b"x", 0)
    assert (long.status_code, long.json()["code"]) == (413, "too_large")
    endless = caller(
        "PATCH", f"/v1/uploads/{upload}", content=iter([GOOD]), headers={"Upload-Offset": "0"}
    )
    assert (endless.status_code, endless.json()["code"]) == (411, "length_required")
    assert caller("PATCH", f"/v1/uploads/{upload}", content=GOOD).status_code == 422
    short = caller("POST", "/v1/uploads", json=wish(claim, {"proj": GOOD[:-1]}))
    assert (short.status_code, short.json()["code"]) == (422, "wrong_length")
    assert short.json()["detail"] == (
        f"proj has {len(GOOD)} bytes in the catalogue, not {len(GOOD) - 1}: send exactly those, "
        "or bring a worker of another version to the coordinator's."
    )
    assert announce(pair, claim)["offset"] == 0


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (component_bytes(1, 2, math.nan), "not_finite"),
        (component_bytes(1, -math.inf, 3), "not_finite"),
        (GOOD.replace(b'"w"', b'"v"'), "wrong_header"),
        (GOOD.replace(b"F32", b"F16"), "wrong_header"),
        (b"\xff" * len(GOOD), "wrong_header"),
    ],
)
def test_bad_bytes_are_refused_and_leave_nothing(
    pair: World, claim: Json, bad: bytes, code: str
) -> None:
    before = sorted(pair.context.store.root.rglob("*"))
    answer = pair.clients["c1"].upload(claim, {"proj": bad})
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert not pair.context.store.has(sha(bad))
    assert sorted(pair.context.store.root.rglob("*")) == before
    assert pair.value("SELECT count(*) FROM artifacts WHERE sha256 = :sha", sha=sha(bad)) == 0
    assert pair.clients["c1"].upload(claim, {"proj": GOOD}).json()["complete"]


def test_bytes_with_another_hash_are_refused(pair: World, claim: Json) -> None:
    upload = announce(pair, claim)
    answer = pair.clients["c1"].send(upload["id"], component_bytes(3, 2, 1), 0)
    assert (answer.status_code, answer.json()["code"]) == (422, "wrong_hash")
    assert announce(pair, claim)["offset"] == 0


def test_bytes_that_are_refused_twice_fail_the_assignment(pair: World, claim: Json) -> None:
    caller = pair.clients["c1"]
    bad = component_bytes(math.nan, 0, 0)
    assert caller.upload(claim, {"proj": bad}).json()["code"] == "not_finite"
    assert caller.report(claim, "heartbeat").json()["instruction"] == "continue"
    assert caller.upload(claim, {"head.digits": bad}).json()["code"] == "not_finite"
    failed = "SELECT failure_code FROM assignments WHERE id = :id AND state = 'failed'"
    assert pair.value(failed, id=claim["assignment_id"]) == "refused"
    answer = caller("POST", "/v1/uploads", json=wish(claim, {"proj": GOOD}))
    assert answer.json()["code"] == "stale_lease"
    pair.advance(claim["job_id"])
    failure = pair.job(claim["job_id"])["failure"]
    assert "c1: refused (A value of head.digits is NaN or infinite" in failure["message"]


def test_only_components_of_the_assignment_are_taken(pair: World, claim: Json) -> None:
    for name in ("encoder.text", "../../etc/passwd", "head.other"):
        answer = pair.clients["c1"]("POST", "/v1/uploads", json=wish(claim, {name: GOOD}))
        assert (answer.status_code, answer.json()["code"]) == (422, "unknown_component")


def test_a_stale_lease_uploads_nothing(pair: World, claim: Json) -> None:
    upload = announce(pair, claim)["id"]
    caller = pair.clients["c1"]
    caller.report(claim, "failure", code="internal", message="x")
    assert caller.send(upload, GOOD, 0).json()["code"] == "stale_lease"
    answer = caller("POST", "/v1/uploads", json=wish(claim, {"proj": GOOD}))
    assert answer.json()["code"] == "stale_lease"


def test_what_an_earlier_attempt_completed_need_not_come_again(pair: World, claim: Json) -> None:
    caller = pair.clients["c1"]
    caller.upload(claim, {"proj": GOOD})
    caller.report(claim, "failure", code="internal", message="x")
    second = caller.claim()
    assert second is not None
    again = caller.ok("POST", "/v1/uploads", json=wish(second, BOTH))
    assert (again["components"], again["n_bytes"]) == (["head.digits"], len(OTHER))
    nothing = announce(pair, second)
    assert (nothing["complete"], nothing["components"], nothing["n_bytes"]) == (True, [], 0)


def test_the_next_attempt_goes_on_where_an_earlier_one_stopped(pair: World, claim: Json) -> None:
    caller = pair.clients["c1"]
    first = announce(pair, claim)
    caller.send(first["id"], GOOD[:10], 0)
    caller.report(claim, "failure", code="internal", message="x")
    assert caller.send(first["id"], GOOD[10:], 10).json()["code"] == "stale_lease"
    second = caller.claim()
    assert second is not None
    again = announce(pair, second)
    assert again == {**first, "offset": 10}
    assert caller.send(again["id"], GOOD[10:], 10).json()["complete"]
    assert parts(pair) == []


def test_nothing_is_reserved_for_an_attempt_that_is_over(
    pair: World, claim: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = type("Usage", (), {"free": 2 * len(GOOD)})
    monkeypatch.setattr("server.storage.shutil.disk_usage", lambda _: free)
    announce(pair, claim)
    caller = pair.clients["c1"]
    caller.report(claim, "failure", code="internal", message="x")
    second = caller.claim()
    assert second is not None
    assert caller.upload(second, {"head.digits": OTHER}).json()["complete"]


def test_a_full_disk_is_said_before_the_bytes_come(
    pair: World, claim: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = type("Usage", (), {"free": 4 * len(GOOD) - 1})
    monkeypatch.setattr("server.storage.shutil.disk_usage", lambda _: free)
    announce(pair, claim)
    answer = pair.clients["c1"]("POST", "/v1/uploads", json=wish(claim, {"head.digits": GOOD}))
    assert (answer.status_code, answer.json()["code"]) == (507, "no_space")
    assert answer.headers["Retry-After"]


def test_announcements_at_the_same_time_count_each_other(
    pair: World, claim: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = type("Usage", (), {"free": 4 * len(GOOD) - 1})
    monkeypatch.setattr("server.storage.shutil.disk_usage", lambda _: free)
    other = pair.clients["c2"].claim()
    assert other is not None
    with ThreadPoolExecutor() as pool, pair.context.sessions.begin() as session:
        repository.reserve_alone(session)  # as a request that has announced, and not committed
        session.add(row_of(claim))
        session.flush()
        asked = wish(other, {"proj": GOOD})
        answer = pool.submit(pair.clients["c2"], "POST", "/v1/uploads", json=asked)
        wait_for(lambda: answer.done() or pair.value(_WAITS))
        session.commit()
        assert answer.result().json()["code"] == "no_space"


def test_parts_of_ended_assignments_are_swept(pair: World, claim: Json) -> None:
    upload = announce(pair, claim)["id"]
    pair.clients["c1"].send(upload, GOOD[:10], 0)
    drop_abandoned(pair.context)
    assert len(parts(pair)) == 1
    pair.operator.ok("POST", f"/v1/jobs/{claim['job_id']}/cancel")
    pair.advance(claim["job_id"])
    drop_abandoned(pair.context)
    assert parts(pair) == []
    assert pair.clients["c1"]("GET", f"/v1/uploads/{upload}").status_code == 404


def test_a_client_sees_only_its_own(pair: World, claim: Json) -> None:
    upload = announce(pair, claim)["id"]
    pair.clients["c1"].send(upload, GOOD, 0)
    stranger = pair.add_client("c3")
    name = claim["assignment_id"]
    assert stranger.claim() is None
    for caller in (stranger, pair.clients["c2"], pair.planner):
        assert caller("GET", f"/v1/uploads/{upload}").status_code == 404
        assert caller.send(upload, b"", 0).status_code == 404
        assert caller.report(claim, "heartbeat").status_code == 404
        body = {"code": "internal", "message": "x"}
        assert caller.report(claim, "failure", **body).status_code == 404
        wanted = wish(claim, {"proj": GOOD})
        assert caller("POST", "/v1/uploads", json=wanted).status_code == 404
    assert stranger("GET", f"/v1/artifacts/{claim['manifest']['proj']}").status_code == 404
    assert pair.clients["c2"]("GET", f"/v1/artifacts/{sha(GOOD)}").status_code == 404
    bundle = {"sha256": [claim["manifest"]["proj"], sha(GOOD)]}
    assert pair.clients["c2"]("POST", "/v1/artifacts:bundle", json=bundle).status_code == 404
    own = pair.clients["c1"]("GET", f"/v1/artifacts/{claim['manifest']['proj']}")
    assert own.status_code == 200
    address = f"/v1/assignments/{name}/catalogue"
    components = {"proj": {"tensors": {"w": {"shape": [3]}}}}
    catalogue = {"base_digest": "a" * 64, "components": components}
    answer = pair.planner("PUT", address, params=held(claim), json=catalogue)
    assert answer.status_code == 404
    assert held(claim)["attempt"] == 1


def test_a_planner_that_lost_its_lease_describes_nothing(pair: World) -> None:
    pair.launch()
    earlier = pair.planner.claim()
    pair.execute("UPDATE assignments SET lease_until = now() - interval '1 s'")
    suspect_missed_leases(pair.context)
    now = pair.planner.claim()
    assert earlier is not None
    assert now is not None
    path = f"/v1/assignments/{now['assignment_id']}/catalogue"
    spec = {"tensors": {"w": {"shape": [3]}}}
    catalogue = {"base_digest": "a" * 64, "components": dict.fromkeys(now["components"], spec)}
    refused = pair.planner("PUT", path, params=held(earlier), json=catalogue)
    assert (refused.status_code, refused.json()["code"]) == (409, "stale_lease")
    assert pair.value("SELECT base_digest FROM jobs") is None
    pair.planner.ok("PUT", path, params=held(now), json=catalogue)
    assert pair.value("SELECT base_digest FROM jobs") == "a" * 64


def test_what_came_under_another_catalogue_has_not_arrived(pair: World) -> None:
    pair.launch()
    claim = pair.planner.claim()
    assert claim is not None
    path = f"/v1/assignments/{claim['assignment_id']}/catalogue"

    def describe(n_values: int) -> None:
        spec = {"tensors": {"w": {"shape": [n_values]}}}
        components = dict.fromkeys(claim["components"], spec)
        catalogue = {"base_digest": "a" * 64, "components": components}
        pair.planner.ok("PUT", path, params=held(claim), json=catalogue)

    describe(3)
    files = dict.fromkeys(claim["components"], GOOD)
    assert pair.planner.upload(claim, files).json()["complete"]
    describe(4)
    components = {name: sha(GOOD) for name in files}
    answer = pair.planner.report(claim, "result", kind="plan", components=components)
    assert answer.json()["code"] == "missing_upload"
