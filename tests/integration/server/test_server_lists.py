"""Lists in pages: nothing twice, nothing lost, filters and orders, and cursors of other lists."""

import base64
import json
from typing import Any

import pytest
from sqlalchemy import func, update

from server.tables import Client
from tests.support.finished import federated_and_alone
from tests.support.scripted import World, offer

pytestmark = pytest.mark.integration
NAMES = ("cherry", "Apple", "banana", "apple", "100% <b>")


def pages(world: World, path: str, **asked: Any) -> list[list[dict[str, Any]]]:
    """All pages of a list."""
    found, cursor = [], None
    while True:
        more: dict[str, str] = {} if cursor is None else {"cursor": cursor}
        page = world.viewer.ok("GET", path, params={**asked, **more})
        found.append(page["items"])
        cursor = page["next"]
        if cursor is None:
            return found


@pytest.fixture
def named(pair: World) -> World:
    """Five jobs, the second of them cancelled."""
    jobs = [pair.launch(name=name) for name in NAMES]
    pair.operator.ok("POST", f"/v1/jobs/{jobs[1]}/cancel")
    return pair


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("created_at", list(NAMES)),
        ("-created_at", list(reversed(NAMES))),
        ("name", sorted(NAMES)),
        ("-name", sorted(NAMES, reverse=True)),
        ("-updated_at", ["Apple"]),
    ],
)
def test_jobs_come_in_the_order_that_is_asked_for_each_once(
    named: World, order: str, expected: list[str]
) -> None:
    whole = [job["name"] for (page) in pages(named, "/v1/jobs", sort=order) for job in page]
    assert sorted(whole) == sorted(NAMES)
    if "name" not in order:  # the database's collation decides between small and capital letters
        assert whole[: len(expected)] == expected
    for limit in (1, 2, 5):
        parts = pages(named, "/v1/jobs", sort=order, limit=limit)
        assert [job["name"] for page in parts for job in page] == whole
        assert [len(page) for page in parts] == {1: [1] * 5, 2: [2, 2, 1], 5: [5]}[limit]


def test_a_job_that_comes_meanwhile_shifts_no_page(named: World) -> None:
    first = named.viewer.ok("GET", "/v1/jobs", params={"limit": 2})
    named.launch(name="new")
    rest = named.viewer.ok("GET", "/v1/jobs", params={"limit": 50, "cursor": first["next"]})
    names = [job["name"] for job in first["items"] + rest["items"]]
    assert names == list(reversed(NAMES))


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({"state": "cancelling"}, {"Apple"}),
        ({"state": ["cancelling", "cancelled"]}, {"Apple"}),
        ({"state": "planning"}, set(NAMES) - {"Apple"}),
        ({"name": "APPLE"}, {"Apple", "apple"}),
        ({"name": "%"}, {"100% <b>"}),
        ({"name": "_"}, set()),
        ({"client": "c1"}, set(NAMES)),
        ({"client": "c9"}, set()),
        ({"client": "c1", "name": "an", "state": "planning"}, {"banana"}),
    ],
)
def test_jobs_are_chosen_by_state_name_and_client(
    named: World, asked: dict[str, Any], names: set[str]
) -> None:
    found = [job["name"] for page in pages(named, "/v1/jobs", limit=1, **asked) for job in page]
    assert sorted(found) == sorted(names)


def test_rounds_versions_and_clients_come_in_pages(world: World) -> None:
    for number in range(3):
        world.add_client(f"c{number}", offer() if number else None)
    ids = [c["id"] for page in pages(world, "/v1/clients", limit=2) for c in page]
    assert ids == ["c0", "c1", "c2"]
    assert [len(page) for page in pages(world, "/v1/clients", limit=2)] == [2, 1]
    offering = [c["id"] for page in pages(world, "/v1/clients", task="digits") for c in page]
    assert offering == ["c1", "c2"]
    assert pages(world, "/v1/clients", task="other") == [[]]


def test_rounds_are_chosen_by_state(pair: World) -> None:
    job = pair.trained()
    pair.advance(job)
    pair.advance(job)
    numbers = [r["number"] for page in pages(pair, f"/v1/jobs/{job}/rounds", limit=1) for r in page]
    assert numbers == [1, 2]
    (published,) = pages(pair, f"/v1/jobs/{job}/rounds", state="published")
    assert [each["number"] for each in published] == [1]
    versions = pages(pair, f"/v1/jobs/{job}/versions", limit=1)
    assert [[v["number"] for v in page] for page in versions] == [[0], [1]]


@pytest.mark.parametrize(
    ("path", "sort", "of"),
    [
        ("/v1/jobs/{job}/rounds", "number", "number"),
        ("/v1/jobs/{job}/versions", "number", "number"),
        ("/v1/jobs/{job}/events", "id", "id"),
        ("/v1/events", "id", "id"),
        ("/v1/clients", "id", "id"),
        ("/v1/clients", "created_at", "created_at"),
        ("/v1/clients", "seen_at", "seen_at"),
    ],
)
def test_every_list_goes_from_either_end_on(pair: World, path: str, sort: str, of: str) -> None:
    job = pair.trained()
    pair.advance(job)
    pair.advance(job)
    whole = path.format(job=job)
    (rising,) = pages(pair, whole, sort=sort, limit=200)
    (falling,) = pages(pair, whole, sort=f"-{sort}", limit=200)
    assert len(rising) > 1
    assert falling == rising[::-1]
    values = [row[of] for row in rising]
    assert values == sorted(values)
    for order, expected in ((sort, rising), (f"-{sort}", falling)):
        assert [row for page in pages(pair, whole, sort=order, limit=1) for row in page] == expected


def test_who_was_never_seen_stands_where_it_was_registered(world: World) -> None:
    for number in range(3):
        world.add_client(f"c{number}", offer())
    with world.context.sessions.begin() as session:
        session.execute(update(Client).where(Client.id == "c1").values(seen_at=None))
    for limit in (1, 2):
        found = pages(world, "/v1/clients", sort="seen_at", limit=limit)
        assert sorted(row["id"] for page in found for row in page) == ["c0", "c1", "c2"]


def test_a_round_s_attempts_come_in_pages_of_rounds(pair: World) -> None:
    job = pair.trained()
    pair.advance(job)
    pair.advance(job)
    pair.train("c1", 2.0)
    path = f"/v1/jobs/{job}/timeline"
    whole = [row for page in pages(pair, path) for row in page]
    assert {row["round"] for row in whole} == {1, 2}
    assert pages(pair, path, limit=1) == [
        [row for row in whole if row["round"] == number] for number in (1, 2)
    ]
    assert pages(pair, path, after_round=1) == [[row for row in whole if row["round"] == 2]]
    later = pages(pair, f"/v1/jobs/{job}/rounds", after_round=1)
    assert [[row["number"] for row in page] for page in later] == [[2]]


def test_who_was_missing_comes_in_pages_of_rounds_of_all_phases(pair: World) -> None:
    together, _ = federated_and_alone(pair)
    path = f"/v1/jobs/{together}/attendance"
    (whole,) = pages(pair, path)
    assert [row["phase"] for row in whole] == ["train", "personalize", "evaluate"]
    for order, expected in (("round", whole), ("-round", whole[::-1])):
        assert pages(pair, path, limit=1, sort=order) == [[row] for row in expected]
    assert pages(pair, path, after_round=1) == [[]]
    assert pages(pair, path, after_round=0, client="c1", limit=2) == [whole[:2], whole[2:]]
    assert pages(pair, path, client="c9") == [[]]
    assert pair.viewer.ok("GET", f"/v1/jobs/{together}/report")["attendance"] == whole


def test_who_was_missing_is_chosen_by_who_was_asked(pair: World) -> None:
    job = pair.launch(rounds={"count": 2, "quorum": 1, "clients_per_round": 1})
    pair.plan(job)
    path = f"/v1/jobs/{job}/attendance"
    ((first,),) = pages(pair, path)
    (asked,) = first["asked"]
    pair.train(asked, 1.0)
    pair.advance(job)
    pair.advance(job)
    (whole,) = pages(pair, path)
    assert [row["round"] for row in whole] == [1, 2]
    assert pages(pair, path, after_round=1) == [[whole[1]]]
    for client in ("c1", "c2"):
        (own,) = pages(pair, path, client=client)
        assert own == [row for row in whole if client in row["asked"]]


def test_rounds_and_versions_are_chosen_by_client_and_number(pair: World) -> None:
    job = pair.trained()
    pair.advance(job)
    pair.advance(job)
    pair.train("c1", 2.0)
    path = f"/v1/jobs/{job}"
    (bars,) = pages(pair, f"{path}/timeline")
    for limit in (1, 200):
        found = pages(pair, f"{path}/timeline", sort="-round", limit=limit)
        assert [row for page in found for row in page] == bars[::-1]
    (own,) = pages(pair, f"{path}/timeline", client="c2")
    assert own == [bar for bar in bars if bar["client"] == "c2"]
    assert [bar["round"] for bar in own] == [1]
    (rounds,) = pages(pair, f"{path}/rounds")
    assert [row["number"] for row in rounds] == [1, 2]
    assert pages(pair, f"{path}/rounds", client="c1") == [rounds]
    assert pages(pair, f"{path}/rounds", client="c9") == [[]]
    for after, expected in ((0, [1]), (1, [])):
        (later,) = pages(pair, f"{path}/versions", after_version=after)
        assert [row["number"] for row in later] == expected


def test_clients_that_are_silent_can_be_left_out(pair: World) -> None:
    with pair.context.sessions.begin() as session:
        session.execute(update(Client).where(Client.id == "c1").values(seen_at=None))
        session.execute(update(Client).where(Client.id == "c2").values(seen_at=func.now()))
    for there, expected in (("true", ["c2"]), ("false", ["c1", "c2"])):
        (found,) = pages(pair, "/v1/clients", there=there)
        assert [row["id"] for row in found] == expected


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


DEEP = base64.urlsafe_b64encode(b"[" * 700).decode()


@pytest.mark.parametrize(
    "cursor",
    ["", "%", "é", "AAAA", "a", DEEP, encoded([]), encoded({}), encoded(["rounds number", 1]),
     encoded(["jobs -created_at", 1, 2]), encoded(["jobs -created_at", "yesterday", "x"]),
     encoded(["jobs -created_at", "2026-01-01T00:00:00+00:00"]),
     encoded(["jobs -created_at", "2026-01-01T00:00:00+00:00", None]),
     encoded(["jobs name", "a", "00000000-0000-0000-0000-000000000000"]),
     encoded(["clients id", 1]), encoded(["clients id", "c1", "c1"]), encoded(["clients id"])],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/clients"])
def test_a_cursor_of_no_list_or_of_another_order_is_refused(
    pair: World, path: str, cursor: str
) -> None:
    answer = pair.viewer("GET", path, params={"cursor": cursor})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"] == [
        "cursor: is none of this list in this order; begin without one"
    ]


@pytest.mark.parametrize(
    ("order", "value"),
    [
        ("clients id", "a\0"),
        ("clients id", "\ud800"),
        ("versions number", 2**63),
        ("versions number", "1"),
        ("versions number", True),
        ("rounds number", 1.5),
        ("events id", "1"),
    ],
)
def test_a_place_that_no_row_has_is_refused(pair: World, order: str, value: object) -> None:
    job, path = pair.launch(), order.split(maxsplit=1)[0]
    address = "/v1/clients" if path == "clients" else f"/v1/jobs/{job}/{path}"
    answer = pair.viewer("GET", address, params={"cursor": encoded([order, value])})
    assert answer.status_code == 422


@pytest.mark.parametrize(("order", "value"), [("versions number", 2**40), ("events id", -1)])
def test_a_place_behind_all_rows_or_before_them_is_one(
    pair: World, order: str, value: object
) -> None:
    path = f"/v1/jobs/{pair.trained()}/{order.split(maxsplit=1)[0]}"
    found = pair.viewer.ok("GET", path, params={"cursor": encoded([order, value])})
    assert bool(found["items"]) == (order == "events id")


def test_rounds_of_other_phases_are_asked_for_by_name(pair: World) -> None:
    together, _ = federated_and_alone(pair)
    ask = f"/v1/jobs/{together}/rounds"
    for phase, number in (("plan", 0), ("train", 1), ("personalize", 1), ("evaluate", 1)):
        (row,) = pair.viewer.ok("GET", f"{ask}?phase={phase}")["items"]
        assert (row["phase"], row["number"]) == (phase, number)
        assert {part["kind"] for part in row["assignments"]} == {phase}
        detail = pair.viewer.ok("GET", f"{ask}/{number}?phase={phase}")
        assert detail["opened_at"] == row["opened_at"]
    assert [row["phase"] for row in pair.viewer.ok("GET", ask)["items"]] == ["train"]
    assert pair.viewer("GET", f"{ask}?phase=lunch").status_code == 422
