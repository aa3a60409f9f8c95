"""Keys over HTTP: shown once, stored hashed, refused at the next request, two for a change-over."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from server.audit import verify
from server.auth import create_key, prefix_of
from server.columns import Scope
from tests.support.scripted import Caller, World

pytestmark = pytest.mark.integration
Json = dict[str, Any]


@pytest.fixture
def admin(world: World) -> Caller:
    return admin_of(world)


def admin_of(world: World) -> Caller:
    with world.context.sessions.begin() as session:
        return Caller(world.http, create_key(session, Scope.ADMIN))


def caller(world: World, made: Json) -> Caller:
    return Caller(world.http, made["key"])


def said(world: World) -> list[tuple[str, Json]]:
    """The events about keys, each with what it says."""
    with world.context.sessions.begin() as session:
        assert verify(session).broken == []
    events = world.viewer.ok("GET", "/v1/events")["items"]
    return [(e["kind"], e["data"]) for e in events if e["kind"].startswith("key.")]


@pytest.mark.parametrize("sort", ["prefix", "created_at"])
def test_keys_are_listed_from_either_end_on(world: World, admin: Caller, sort: str) -> None:
    world.add_client("c1")
    rising = admin.ok("GET", f"/v1/keys?sort={sort}")["items"]
    falling = admin.ok("GET", f"/v1/keys?sort=-{sort}")["items"]
    assert [key["prefix"] for key in falling] == [key["prefix"] for key in rising][::-1]
    assert [key[sort] for key in rising] == sorted(key[sort] for key in rising)
    first = admin.ok("GET", f"/v1/keys?sort=-{sort}&limit=1")
    rest = admin.ok("GET", "/v1/keys", params={"sort": f"-{sort}", "cursor": first["next"]})
    assert first["items"] + rest["items"] == falling


def test_a_key_is_made_used_listed_and_revoked(world: World, admin: Caller) -> None:
    made = admin.ok("POST", "/v1/keys", json={"scope": "viewer", "lifetime": "P90D"})
    assert made["key"].startswith(f"tap_{made['prefix']}_")
    assert (made["scope"], made["client"], made["state"]) == ("viewer", None, "live")
    lasts = "SELECT expires_at - created_at = interval '90 days' FROM api_keys WHERE prefix = :p"
    assert world.value(lasts, p=made["prefix"]) is True
    new = caller(world, made)
    assert new.ok("GET", "/v1/whoami")["scope"] == "viewer"
    [listed] = [
        each for each in admin.ok("GET", "/v1/keys")["items"] if each["prefix"] == made["prefix"]
    ]
    assert listed["used_at"] is not None
    assert made["key"] not in admin("GET", "/v1/keys").text
    revoked = admin.ok("DELETE", f"/v1/keys/{made['prefix']}")
    assert revoked["state"] == "revoked"
    assert new("GET", "/v1/whoami").status_code == 401
    assert admin.ok("DELETE", f"/v1/keys/{made['prefix']}") == revoked
    by = prefix_of(admin.key)
    assert said(world) == [
        (
            "key.created",
            {"key": made["prefix"], "scope": "viewer", "client": None, "by": by},
        ),
        ("key.revoked", {"key": made["prefix"], "by": by}),
    ]


def test_the_list_has_pages_and_can_leave_out_what_is_over(world: World, admin: Caller) -> None:
    made = [admin.ok("POST", "/v1/keys", json={"scope": "viewer"})["prefix"] for _ in range(3)]
    admin.ok("DELETE", f"/v1/keys/{made[0]}")
    world.execute("UPDATE api_keys SET expires_at = now() WHERE prefix = :p", p=made[1])
    first = admin.ok("GET", "/v1/keys", params={"limit": 4})
    rest = admin.ok("GET", "/v1/keys", params={"cursor": first["next"]})
    states = {each["prefix"]: each["state"] for each in (*first["items"], *rest["items"])}
    assert [states[prefix] for prefix in made] == ["revoked", "expired", "live"]
    assert len(states) == 3 + 4  # and those of operator, viewer, planner and admin
    live = admin.ok("GET", "/v1/keys", params={"live": True})["items"]
    assert {each["state"] for each in live} == {"live"}
    assert len(live) == 1 + 4


@pytest.mark.parametrize("path", ["/v1/keys", "/v1/clients/c1/keys"])
def test_a_lost_answer_is_asked_for_again_until_the_key_is_used(
    world: World, admin: Caller, path: str
) -> None:
    world.add_client("c1")
    body = {"scope": "operator"} if path == "/v1/keys" else {}
    more: Json = {"json": body, "headers": {"Idempotency-Key": "one"}}
    first, second = (admin.ok("POST", path, **more) for _ in range(2))
    assert first["prefix"] == second["prefix"]
    assert first["key"] != second["key"]
    assert caller(world, first)("GET", "/v1/whoami").status_code == 401
    assert caller(world, second)("GET", "/v1/whoami").status_code == 200
    third = admin("POST", path, **more)
    assert (third.status_code, third.json()["code"]) == (409, "key_in_use")
    assert caller(world, second)("GET", "/v1/whoami").status_code == 200
    other = admin("POST", path, **{**more, "json": {**body, "lifetime": "P1D"}})
    assert other.json()["code"] == "idempotency_key_reused"
    (of_c1, _), *ours = said(world)
    assert [of_c1, *(kind for kind, _ in ours)] == ["key.created", "key.created", "key.shown_again"]


def test_what_was_revoked_is_not_shown_again(admin: Caller) -> None:
    more: Json = {"json": {"scope": "viewer"}, "headers": {"Idempotency-Key": "one"}}
    made = admin.ok("POST", "/v1/keys", **more)
    admin.ok("DELETE", f"/v1/keys/{made['prefix']}")
    assert admin("POST", "/v1/keys", **more).json()["code"] == "key_in_use"


def test_registering_again_makes_no_key_of_a_client_whose_key_was_revoked(
    world: World, admin: Caller
) -> None:
    more: Json = {"json": {"id": "c1"}, "headers": {"Idempotency-Key": "one"}}
    made = world.operator.ok("POST", "/v1/clients", **more)
    other = admin.ok("POST", "/v1/clients/c1/keys", json={})
    again = world.operator.ok("POST", "/v1/clients", **more)
    assert prefix_of(again["key"]) == prefix_of(made["key"])
    assert caller(world, other)("GET", "/v1/whoami").status_code == 200, "another's is left alone"
    admin.ok("DELETE", f"/v1/keys/{prefix_of(made['key'])}")
    refused = world.operator("POST", "/v1/clients", **more)
    assert (refused.status_code, refused.json()["code"]) == (409, "key_in_use")
    kinds = [kind for kind, _ in said(world)]
    assert kinds == ["key.created", "key.created", "key.shown_again", "key.revoked"]


def test_a_clients_key_is_changed_without_a_pause(world: World, admin: Caller) -> None:
    old = world.add_client("c1")
    made = admin.ok("POST", "/v1/clients/c1/keys", json={})
    new = caller(world, made)
    for each in (old, new):
        assert each.ok("GET", "/v1/whoami")["client"] == "c1"
    third = admin("POST", "/v1/clients/c1/keys", json={})
    assert (third.status_code, third.json()["code"]) == (409, "too_many_keys")
    assert made["prefix"] in third.json()["detail"]
    admin.ok("DELETE", f"/v1/keys/{prefix_of(old.key)}")
    assert old("GET", "/v1/whoami").status_code == 401
    assert new.ok("GET", "/v1/whoami")["client"] == "c1"
    assert admin("POST", "/v1/clients/c1/keys", json={}).status_code == 201
    of_client = admin.ok("GET", "/v1/keys", params={"client": "c1"})["items"]
    assert sorted(each["state"] for each in of_client) == ["live", "live", "revoked"]


def test_two_at_once_do_not_give_a_client_a_third_key(world: World, admin: Caller) -> None:
    world.add_client("c1")
    statuses = at_once(lambda: admin("POST", "/v1/clients/c1/keys", json={}).status_code)
    assert sorted(statuses) == [201, 409]


def test_the_last_admin_key_stays(world: World, admin: Caller) -> None:
    own = f"/v1/keys/{prefix_of(admin.key)}"
    refused = admin("DELETE", own)
    assert (refused.status_code, refused.json()["code"]) == (409, "last_admin_key")
    admin.ok("POST", "/v1/keys", json={"scope": "admin"})
    world.execute(
        "UPDATE api_keys SET expires_at = now() WHERE used_at IS NULL AND scope = 'admin'"
    )
    assert admin("DELETE", own).status_code == 409  # the other one has expired
    successor = caller(world, admin.ok("POST", "/v1/keys", json={"scope": "admin"}))
    assert successor.ok("DELETE", own)["state"] == "revoked"
    assert admin("GET", "/v1/keys").status_code == 401


def test_two_admins_do_not_revoke_each_other(world: World, admin: Caller) -> None:
    both = [admin, admin_of(world)]
    others = iter([(both[0], both[1]), (both[1], both[0])])

    def revoke() -> int:
        one, other = next(others)
        return one("DELETE", f"/v1/keys/{prefix_of(other.key)}").status_code

    statuses = at_once(revoke)
    assert statuses.count(200) == 1
    live = "SELECT count(*) FROM api_keys WHERE scope = 'admin' AND revoked_at IS NULL"
    assert world.value(live) == 1


def at_once(ask: Callable[[], int]) -> list[int]:
    """What two that begin together are answered."""
    gate = Barrier(2)

    def go(_: int) -> int:
        gate.wait()
        return ask()

    with ThreadPoolExecutor(2) as both:
        return list(both.map(go, range(2)))


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/keys", {"scope": "client"}, 422),
        ("/v1/keys", {"scope": "viewer", "lifetime": "PT0S"}, 422),
        ("/v1/keys", {"scope": "viewer", "lifetime": "P4000D"}, 422),
        ("/v1/keys", {"scope": "viewer", "lifetime": "soon"}, 422),
        ("/v1/keys", {}, 422),
        ("/v1/clients/nobody/keys", {}, 404),
    ],
)
def test_wrong_wishes_are_named_and_make_nothing(
    world: World, admin: Caller, path: str, body: Json, status: int
) -> None:
    before = world.value("SELECT count(*) FROM api_keys")
    answer = admin("POST", path, json=body)
    assert answer.status_code == status
    assert answer.json()["detail"]
    assert world.value("SELECT count(*) FROM api_keys") == before


@pytest.mark.parametrize("prefix", ["00000000", "%00", "x" * 3000, "é"])
def test_an_unknown_key_is_no_key(admin: Caller, prefix: str) -> None:
    assert admin("DELETE", f"/v1/keys/{prefix}").status_code in {404, 422}
