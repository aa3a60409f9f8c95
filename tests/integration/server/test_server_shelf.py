"""The personal-model shelf at the server: opaque bytes for their owner alone."""

from uuid import UUID, uuid4

import pytest

from server.auth import Principal
from server.columns import Scope
from server.shelf.service import complete, writable
from server.storage import exclusive_part, part_path
from tests.support.html_page import Page
from tests.support.scripted import Json, World, component_bytes, job_spec, offer, sha
from tests.support.shelving import (
    MODEL,
    OTHER,
    add_shelf_pair,
    announced,
    code,
    listed,
    parts,
    put,
    send,
    wish,
)

pytestmark = pytest.mark.integration


@pytest.fixture
def pair(world: World) -> World:
    return add_shelf_pair(world)


@pytest.fixture
def job(pair: World) -> str:
    return pair.launch(shelf="encrypted")


def kinds(world: World, job: str) -> list[Json]:
    events = world.viewer.ok("GET", f"/v1/jobs/{job}/events")["items"]
    return [each for each in events if each["kind"].startswith("shelf.")]


def files(world: World) -> set[str]:
    return {path.name for path in world.context.store.root.glob("??/*")}


def test_a_model_is_put_there_and_its_owner_gets_the_same_bytes(pair: World, job: str) -> None:
    caller = pair.clients["c1"]
    model = put(pair, job)
    assert caller("GET", f"/v1/jobs/{job}/shelf/{model}").content == MODEL
    part = caller("GET", f"/v1/jobs/{job}/shelf/{model}", headers={"Range": "bytes=5-9"})
    assert (part.status_code, part.content) == (206, MODEL[5:10])
    assert part.headers["Cache-Control"] == "private, no-store"
    beyond = caller("GET", f"/v1/jobs/{job}/shelf/{model}", headers={"Range": "bytes=99999-"})
    assert code(beyond) == (416, "wrong_range")
    assert parts(pair) == []


def test_operators_see_that_it_is_there_and_a_client_sees_its_own_row(
    pair: World, job: str
) -> None:
    model = put(pair, job)
    view = listed(pair.viewer, job)
    first, second = view["items"]
    assert view["asked"] == "encrypted"
    assert (first["client"], first["agreed"], first["item"]["id"]) == ("c1", "encrypted", model)
    assert (first["item"]["n_bytes"], first["item"]["form"]) == (len(MODEL), "encrypted")
    assert first["item"]["current"] is False, "the job knows of no personal state yet"
    assert second == {"client": "c2", "agreed": "none", "item": None}
    assert listed(pair.clients["c1"], job)["items"] == [first]
    assert listed(pair.clients["c2"], job)["items"] == [second]


def test_nobody_but_its_owner_reads_it(pair: World, job: str) -> None:
    stranger = pair.add_client("c9", offer())
    model = put(pair, job)
    address, artifact = f"/v1/jobs/{job}/shelf/{model}", f"/v1/artifacts/{sha(MODEL)}"
    for other in (pair.clients["c2"], stranger):
        assert code(other("GET", address)) == (404, "not_found")
        assert code(send(other, job, model, b"")) == (404, "not_found")
        assert code(other("GET", artifact)) == (404, "not_found")
    for path in ("", f"/{uuid4()}"):
        assert code(stranger("GET", f"/v1/jobs/{job}/shelf{path}")) == (404, "not_found")
    assert code(stranger("DELETE", f"/v1/jobs/{job}/shelf")) == (404, "not_found")
    for caller in (pair.operator, pair.viewer, pair.planner):
        assert code(caller("GET", address)) == (403, "forbidden")
    assert code(pair.operator("GET", artifact)) == (404, "not_found")
    body = {"sha256": [sha(MODEL)]}
    assert code(pair.operator("POST", "/v1/artifacts:bundle", json=body)) == (404, "not_found")
    assert code(pair.clients["c1"]("GET", artifact)) == (404, "not_found"), (
        "the shelf's route is it"
    )
    elsewhere = pair.launch(shelf="encrypted")
    wrong = f"/v1/jobs/{elsewhere}/shelf/{model}"
    assert code(pair.clients["c1"]("GET", wrong)) == (404, "not_found")


def test_a_component_that_somebody_puts_on_the_shelf_hides_from_nobody(
    pair: World, job: str
) -> None:
    pair.plan(job)
    data = component_bytes(0, 0, 0)
    put(pair, job, data)
    assert pair.operator("GET", f"/v1/artifacts/{sha(data)}").status_code == 200
    assert pair.clients["c2"]("GET", f"/v1/artifacts/{sha(data)}").status_code == 200
    pair.clients["c1"].ok("DELETE", f"/v1/jobs/{job}/shelf")
    assert sha(data) in files(pair)


def test_a_stranger_cannot_put_or_list(pair: World, job: str) -> None:
    alone = pair.operator.ok("POST", "/v1/jobs", json=job_spec(["c1"], shelf="plain"))["id"]
    refused = pair.clients["c2"]("POST", f"/v1/jobs/{alone}/shelf", json=wish())
    assert code(refused) == (404, "not_found")
    gone = pair.clients["c1"]("POST", f"/v1/jobs/{uuid4()}/shelf", json=wish())
    assert code(gone) == (404, "not_found")
    assert job != alone


@pytest.mark.parametrize(
    ("asked", "form", "status"),
    [("none", "encrypted", 409), ("none", "plain", 409), ("encrypted", "plain", 409),
     ("encrypted", "none", 409), ("encrypted", "encrypted", 201), ("plain", "plain", 201),
     ("plain", "encrypted", 201)],
)  # fmt: skip
def test_only_what_the_job_asks_for_or_less_open_is_kept(
    pair: World, asked: str, form: str, status: int
) -> None:
    job = pair.launch(shelf=asked)
    answer = pair.clients["c1"]("POST", f"/v1/jobs/{job}/shelf", json=wish(form=form))
    assert answer.status_code == status
    if status == 409:
        assert answer.json()["code"] == "not_asked"
        assert f"shelf: {asked}" in answer.json()["detail"]


def test_a_job_without_a_shelf_lists_nobody(pair: World) -> None:
    job = pair.launch()
    assert listed(pair.operator, job) == {"job_id": job, "asked": "none", "items": []}
    assert kinds(pair, job) == []


def test_it_goes_on_where_it_broke_off_and_a_wrong_hash_begins_anew(pair: World, job: str) -> None:
    caller = pair.clients["c1"]
    view = announced(caller, job)
    assert view == {**view, "offset": 0, "complete": False, "n_bytes": len(MODEL)}
    assert send(caller, job, view["id"], MODEL[:100]).json()["offset"] == 100
    assert announced(caller, job) == {**view, "offset": 100}
    assert code(send(caller, job, view["id"], MODEL[:5], 3)) == (409, "wrong_offset")
    assert code(send(caller, job, view["id"], MODEL + b"x", 100)) == (413, "too_large")
    assert code(send(caller, job, view["id"], OTHER[100:], 100)) == (422, "wrong_hash")
    assert announced(caller, job)["offset"] == 0
    assert listed(caller, job)["items"][0]["item"] is None
    assert files(pair) == set()
    assert send(caller, job, view["id"], MODEL).json()["complete"]
    assert send(caller, job, view["id"], b"").json()["complete"], "said again"
    assert announced(caller, job)["complete"]


def test_bytes_that_all_came_before_a_crash_are_kept_when_it_is_announced_again(
    pair: World, job: str
) -> None:
    caller = pair.clients["c1"]
    view = announced(caller, job)
    part = pair.context.store.root / "parts" / view["id"].replace("-", "")
    part.write_bytes(MODEL)
    assert announced(caller, job)["complete"]
    assert listed(caller, job)["items"][0]["item"]["sha256"] == sha(MODEL)


def test_a_new_one_takes_the_place_of_the_old_one_once_it_is_whole(pair: World, job: str) -> None:
    caller = pair.clients["c1"]
    first = put(pair, job)
    second = announced(caller, job, OTHER, state_digest="b" * 64)
    assert send(caller, job, second["id"], OTHER[:7]).json()["offset"] == 7
    assert caller("GET", f"/v1/jobs/{job}/shelf/{first}").content == MODEL
    assert send(caller, job, second["id"], OTHER[7:], 7).json()["complete"]
    assert code(caller("GET", f"/v1/jobs/{job}/shelf/{first}")) == (404, "not_found")
    assert files(pair) == {sha(OTHER)}
    third = announced(caller, job, b"given up")
    send(caller, job, third["id"], b"given")
    fourth = announced(caller, job, b"instead")
    assert parts(pair) == []
    assert code(send(caller, job, third["id"], b" up", 5)) == (404, "not_found")
    assert send(caller, job, fourth["id"], b"instead").json()["complete"]
    assert [event["kind"] for event in kinds(pair, job)] == ["shelf.declined", *["shelf.put"] * 3]


def test_it_is_current_while_the_job_goes_on_with_that_state(pair: World, job: str) -> None:
    pair.plan(job)
    pair.train("c1", 1.0)
    put(pair, job)
    assert listed(pair.operator, job)["items"][0]["item"]["current"]
    pair.train("c2", 1.0)
    pair.advance(job)
    pair.train("c1", 1.0, state="b" * 64)
    assert not listed(pair.operator, job)["items"][0]["item"]["current"]


def test_a_client_deletes_its_own_and_an_operator_all_of_a_job(pair: World) -> None:
    job, other = (pair.launch(shelf="plain") for _ in range(2))
    for client in ("c1", "c2"):
        put(pair, job, MODEL + client.encode(), client)
        put(pair, other, OTHER + client.encode(), client)
    gone = pair.clients["c1"].ok("DELETE", f"/v1/jobs/{job}/shelf")
    assert gone == {"clients": ["c1"], "n_bytes": len(MODEL) + 2}
    assert sha(MODEL + b"c1") not in files(pair), "at once, not when it is collected"
    assert [row["item"] is None for row in listed(pair.operator, job)["items"]] == [True, False]
    assert pair.clients["c1"].ok("DELETE", f"/v1/jobs/{job}/shelf") == {"clients": [], "n_bytes": 0}
    gone = pair.operator.ok("DELETE", f"/v1/jobs/{other}/shelf")
    assert gone["clients"] == ["c1", "c2"]
    assert files(pair) == {sha(MODEL + b"c2")}
    assert [event["data"] for event in kinds(pair, other)][-1] == {"client": "c2", "by": "operator"}
    assert code(pair.operator("GET", f"/v1/artifacts/{sha(OTHER + b'c1')}")) == (404, "not_found")


def test_deleting_ends_what_is_on_its_way(pair: World, job: str) -> None:
    caller = pair.clients["c1"]
    view = announced(caller, job)
    send(caller, job, view["id"], MODEL[:100])
    assert caller.ok("DELETE", f"/v1/jobs/{job}/shelf") == {"clients": [], "n_bytes": 0}
    assert code(send(caller, job, view["id"], MODEL[100:], 100)) == (404, "not_found")
    assert parts(pair) == []


def test_a_client_that_goes_without_is_told_in_events_report_and_page(
    pair: World, job: str
) -> None:
    pair.plan(job)
    put(pair, job)
    declined, done = kinds(pair, job)
    assert (declined["kind"], declined["data"]) == (
        "shelf.declined",
        {"client": "c2", "asked": "encrypted"},
    )
    assert done["data"] == {"client": "c1", "form": "encrypted", "n_bytes": len(MODEL)}
    pair.operator.ok("POST", f"/v1/jobs/{job}/cancel")
    pair.advance(job)
    rows = pair.viewer.ok("GET", f"/v1/jobs/{job}/report")["shelf"]
    assert rows == listed(pair.viewer, job)["items"]
    for address in (f"/jobs/{job}", f"/jobs/{job}/report.html"):
        page = Page(pair.viewer("GET", address, headers={"Accept": "text/html"}).text)
        _, mine, other = page.tables["shelf-models"]
        assert [cell.strip() for cell in mine][:3] == ["c1", "encrypted", "5.1 kB"]
        assert other[-1].strip() == "it goes without, for the client does not allow it"


def test_an_announcement_is_one_for_its_idempotency_key(pair: World, job: str) -> None:
    caller, headers = pair.clients["c1"], {"Idempotency-Key": "once"}
    address = f"/v1/jobs/{job}/shelf"
    first = caller.ok("POST", address, json=wish(), headers=headers)
    assert caller.ok("POST", address, json=wish(), headers=headers) == first
    other = caller("POST", address, json=wish(OTHER), headers=headers)
    assert code(other) == (422, "idempotency_key_reused")
    assert announced(caller, job) == first


def test_what_is_wrong_with_bytes_that_all_came_is_said_of_the_announcement(
    pair: World, job: str
) -> None:
    caller, address = pair.clients["c1"], f"/v1/jobs/{job}/shelf"
    part = part_path(pair.context.store, UUID(announced(caller, job)["id"]))
    part.write_bytes(OTHER)
    with exclusive_part(part):
        busy = caller("POST", address, json=wish())
    refused = caller("POST", address, json=wish())
    assert [code(each) for each in (busy, refused)] == [(409, "upload_busy"), (422, "wrong_hash")]
    assert pair.documents(busy, "POST /v1/jobs/{job_id}/shelf")
    assert pair.documents(refused, "POST /v1/jobs/{job_id}/shelf")


def test_bytes_that_two_replicas_have_whole_are_kept(pair: World, job: str) -> None:
    """Both have read the model's row before one of them has recorded it."""
    caller = pair.clients["c1"]
    model = UUID(announced(caller, job)["id"])
    principal = Principal(uuid4(), Scope.CLIENT, "c1")
    for row in [writable(pair.context, principal, UUID(job), model) for _ in range(2)]:
        part_path(pair.context.store, model).write_bytes(MODEL)
        assert complete(pair.context, principal, row).complete
    assert caller("GET", f"/v1/jobs/{job}/shelf/{model}").content == MODEL
    assert files(pair) == {sha(MODEL)}
    assert [event["kind"] for event in kinds(pair, job)][1:] == ["shelf.put"]
