"""Uploads: resumable, and refused before anything is recorded."""

import math
from uuid import UUID

import pytest

from server.storage import exclusive_part, part_path
from tests.support.scripted import Json, World, component_bytes, sha, wish
from tests.support.uploading import BOTH, GOOD, OTHER, announce, parts, training

pytestmark = pytest.mark.integration


@pytest.fixture
def claim(pair: World) -> Json:
    return training(pair)


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


def test_what_is_wrong_with_bytes_that_all_came_is_said_of_the_announcement(
    pair: World, claim: Json
) -> None:
    part = part_path(pair.context.store, UUID(announce(pair, claim)["id"]))
    part.write_bytes(component_bytes(3, 2, 1))
    body, route = wish(claim, {"proj": GOOD}), "POST /v1/uploads"
    with exclusive_part(part):
        busy = pair.clients["c1"]("POST", "/v1/uploads", json=body)
    refused = pair.clients["c1"]("POST", "/v1/uploads", json=body)
    assert [each.json()["code"] for each in (busy, refused)] == ["upload_busy", "wrong_hash"]
    assert pair.documents(busy, route)
    assert pair.documents(refused, route)


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
