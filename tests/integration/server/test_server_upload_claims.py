"""Whose upload it is, for how long, and what room is kept for it."""

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest

from server.tables import Upload
from server.timer import suspect_missed_leases
from server.updates import repository
from server.updates.service import drop_abandoned
from tests.support.patience import wait_for
from tests.support.scripted import Json, World, held, sha, wish
from tests.support.uploading import BOTH, GOOD, OTHER, announce, parts, training

pytestmark = pytest.mark.integration

_WAITS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@pytest.fixture
def claim(pair: World) -> Json:
    return training(pair)


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
