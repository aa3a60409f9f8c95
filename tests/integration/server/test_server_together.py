"""What a crowd reads at once: nobody sees what was before they asked, nor by a key that ended."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from server.auth import create_key
from server.columns import Scope
from tests.support.scripted import Caller, World
from tests.support.signing_in import HTML, cookie

pytestmark = pytest.mark.integration
CROWD = 8


@pytest.fixture
def crowd() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(CROWD) as pool:
        yield pool


def counted(world: World, route: str, status: str) -> float:
    labels = {"route": route, "method": "GET", "status": status}
    return (
        world.context.meters.registry.get_sample_value("tapestry_http_requests_total", labels)
        or 0.0
    )


def test_a_crowd_reads_what_was_committed_before_it_asked(
    pair: World, crowd: ThreadPoolExecutor
) -> None:
    job = pair.launch()
    path = f"/v1/jobs/{job}"
    pair.plan(job)
    for wish, state in (("pause", "paused"), ("resume", "running")) * 5:
        pair.operator.ok("POST", f"{path}/{wish}")
        asked = [crowd.submit(pair.viewer.ok, "GET", path) for _ in range(3 * CROWD)]
        assert {each.result()["state"] for each in asked} == {state}


def test_each_of_a_crowd_is_counted_by_its_route_and_has_a_name(
    pair: World, crowd: ThreadPoolExecutor
) -> None:
    job = pair.launch()
    pair.plan(job)
    before = counted(pair, "/v1/jobs/{job_id}/rounds/{number}", "200")
    path = f"/v1/jobs/{job}/rounds/1"
    answers = list(crowd.map(lambda _: pair.viewer("GET", path), range(40)))
    assert {each.status_code for each in answers} == {200}
    assert len({each.headers["x-request-id"] for each in answers}) == 40
    assert len({each.headers["etag"] for each in answers}) == 1
    assert counted(pair, "/v1/jobs/{job_id}/rounds/{number}", "200") - before == 40


def test_a_revoked_key_reads_nothing_however_many_use_it(
    pair: World, crowd: ThreadPoolExecutor
) -> None:
    path = f"/v1/jobs/{pair.launch()}"
    with pair.context.sessions.begin() as session:
        admin = Caller(pair.http, create_key(session, Scope.ADMIN))
    made = admin.ok("POST", "/v1/keys", json={"scope": "viewer"})
    guest = Caller(pair.http, made["key"])
    assert {each.status_code for each in crowd.map(lambda _: guest("GET", path), range(16))} == {
        200
    }
    admin.ok("DELETE", f"/v1/keys/{made['prefix']}")
    asked = [crowd.submit(caller, "GET", path) for caller in (guest, pair.viewer) * CROWD]
    assert [each.result().status_code for each in asked] == [401, 200] * CROWD


def test_a_page_that_is_read_by_a_cookie_is_counted_by_its_route(pair: World) -> None:
    job = pair.launch()
    before = counted(pair, "/jobs/{job_id}", "200")
    answer = pair.http.get(f"/jobs/{job}", headers={**HTML, **cookie(pair)})
    assert answer.status_code == 200
    assert counted(pair, "/jobs/{job_id}", "200") - before == 1
