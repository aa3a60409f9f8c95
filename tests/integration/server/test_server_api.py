"""Launching, listing, registering; bad input; servers that are away."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from server.main import create_app
from tests.support.scripted import (
    DEAD_REDIS,
    Json,
    World,
    held,
    job_spec,
    make_settings,
    make_world,
    offer,
)

pytestmark = pytest.mark.integration

NOWHERE = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"


@pytest.mark.parametrize(
    ("spec", "code", "sentence"),
    [
        ({"name": "x"}, "invalid", "rounds: is missing; add it"),
        (
            job_spec(["c1"], raunds=1),
            "invalid",
            "raunds: is not a known field; did you mean rounds?",
        ),
        (job_spec(["c1"], seed="x"), "invalid", "seed: must be a whole number"),
        (job_spec(["c1", "c9"]), "unknown_client", "clients: c9 is not registered"),
        (job_spec(["c1", "c1"]), "invalid", "clients names a client twice"),
        ([], "invalid", "the whole: must be a mapping of fields to values; correct it"),
    ],
)
def test_a_wrong_job_names_field_and_remedy(
    pair: World, spec: Any, code: str, sentence: str
) -> None:
    answer = pair.operator("POST", "/v1/jobs", json=spec)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == code
    assert any(sentence in error for error in problem["errors"]), problem["errors"]
    assert pair.value("SELECT count(*) FROM jobs") == 0


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "",
        "null",
        "[[[[",
        '{"id": "a\\u0000b"}',
        '{"id": "ok", "description": "a\\u0000b"}',
        '{"id": "ok", "description": "\\ud800"}',
        '{"id": ' + "9" * 5000 + "}",
        '{"id": "' + "a" * 65 + '"}',
        '{"id": "../../etc"}',
        "\xff",
        "[" * 30_000 + "]" * 30_000,
        '{"id": ' + "[" * 900 + "]" * 900 + "}",
        '{"id": "ok"} and more',
    ],
)
def test_no_body_breaks_the_server(world: World, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = world.operator("POST", "/v1/clients", content=body.encode("latin-1"), headers=headers)
    assert answer.status_code == 422, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "invalid"


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("text/yaml", "body: its Content-Type is text/yaml; send JSON as application/json"),
        (None, "body: its Content-Type is missing; send JSON as application/json"),
        ("application/json", "id: is missing; add it"),
        ("application/other+json", "id: is missing; add it"),
    ],
)
def test_a_body_of_another_type_is_told_its_type(
    world: World, kind: str | None, sentence: str
) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    answer = world.operator("POST", "/v1/clients", content=b"{}", headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"] == [sentence]


def test_a_wrong_parameter_says_what_to_do(world: World) -> None:
    asked = {"limit": "201", "sort": "up", "state": "gone"}
    errors = world.viewer("GET", "/v1/jobs", params=asked).json()["errors"]
    assert "query.limit: must be at most 200; lower it" in errors
    assert any(each.startswith("query.sort: must be '-created_at', ") for each in errors)
    assert len(errors) == len(asked)


def test_a_sentence_has_an_end_however_much_was_given(pair: World) -> None:
    task = {**job_spec([])["tasks"]["digits"], "domains": [f"d{n}" for n in range(50_000)]}
    answer = pair.operator("POST", "/v1/jobs", json=job_spec(["c1"], tasks={"digits": task}))
    problem = answer.json()
    assert problem["code"] == "offer_mismatch"
    assert problem["detail"].endswith("correct the spec or the client's file.")
    assert len(answer.content) < 20_000


def test_a_method_that_is_not_there_is_told_all_that_are(pair: World) -> None:
    for method, path, allowed in (
        ("PUT", "/v1/jobs", "GET, POST"),
        ("OPTIONS", "/v1/keys", "GET, POST"),
        ("POST", "/v1/clients/c1", "GET"),
    ):
        answer = pair.operator(method, path)
        assert answer.json()["code"] == "method_not_allowed"
        assert answer.headers["Allow"] == allowed


def test_nobody_is_sent_elsewhere_for_a_slash_too_many(world: World) -> None:
    answer = world.viewer("GET", "/v1/jobs/", follow_redirects=False)
    assert answer.json()["code"] == "not_found"


def test_extreme_numbers_are_refused(pair: World) -> None:
    spec = job_spec(["c1", "c2"], algorithm={"name": "tap", "temperature": 1e308})
    text = str(spec).replace("'", '"').replace("1e+308", "1e999")
    headers = {"Content-Type": "application/json"}
    answer = pair.operator("POST", "/v1/jobs", content=text, headers=headers)
    assert answer.status_code == 422
    many = offer(train={"general": 10**30})
    assert pair.clients["c1"]("PUT", "/v1/clients/c1/offer", json=many).status_code == 422
    job = pair.launch()
    for path in (f"/v1/jobs/{job}/rounds/{10**40}", f"/v1/jobs/{job}/events?after={10**40}"):
        assert pair.viewer("GET", path).status_code == 422


def test_an_idempotency_key_makes_one_job(pair: World) -> None:
    spec = job_spec(["c1", "c2"])
    headers = {"Idempotency-Key": "once"}
    first = pair.operator.ok("POST", "/v1/jobs", json=spec, headers=headers)
    again = pair.operator.ok("POST", "/v1/jobs", json=spec, headers=headers)
    assert again["id"] == first["id"]
    assert pair.value("SELECT count(*) FROM jobs") == 1
    other = pair.operator("POST", "/v1/jobs", json=spec | {"seed": 1}, headers=headers)
    assert other.json()["code"] == "idempotency_key_reused"


def test_a_repeated_registration_shows_a_key_that_works(world: World) -> None:
    headers = {"Idempotency-Key": "once"}
    first, second = (
        world.operator.ok("POST", "/v1/clients", json={"id": "c1"}, headers=headers)["key"]
        for _ in range(2)
    )
    assert first != second
    world.operator.key, operator = second, world.operator.key
    assert world.operator.claim() is None
    world.operator.key = operator
    third = world.operator("POST", "/v1/clients", json={"id": "c1"}, headers=headers)
    assert third.json()["code"] == "key_in_use"
    taken = world.operator("POST", "/v1/clients", json={"id": "c1"})
    assert taken.json()["code"] == "client_exists"


def test_the_order_of_tasks_survives(pair: World) -> None:
    tasks = {"zebra": job_spec([])["tasks"]["digits"], "digits": job_spec([])["tasks"]["digits"]}
    one = offer()["tasks"]["digits"]
    for name, caller in pair.clients.items():
        caller.ok("PUT", f"/v1/clients/{name}/offer", json={"tasks": {"zebra": one, "digits": one}})
    job = pair.launch(tasks=tasks)
    assert list(pair.job(job)["spec"]["tasks"]) == ["zebra", "digits"]


def test_clients_are_shown(pair: World) -> None:
    items = pair.viewer.ok("GET", "/v1/clients")["items"]
    assert [item["id"] for item in items] == ["c1", "c2"]
    assert items[0]["offer"]["tasks"]["digits"]["train"] == {"general": 10}
    assert pair.viewer.ok("GET", "/v1/clients/c2") == items[1]
    assert pair.viewer("GET", "/v1/clients/c3").status_code == 404
    foreign = pair.clients["c1"]("PUT", "/v1/clients/c2/offer", json=offer())
    assert foreign.status_code == 404


def test_an_offer_is_frozen_when_the_job_is_submitted(pair: World) -> None:
    job = pair.launch(rounds={"count": 1})
    pair.clients["c1"].ok("PUT", "/v1/clients/c1/offer", json=offer(train={"general": 999}))
    pair.plan(job)
    pair.train("c1", 1.0)
    pair.train("c2", 1.0)
    pair.advance(job)
    manifest = pair.viewer.ok("GET", f"/v1/jobs/{job}/versions/1")["manifest"]
    assert manifest["proj"]["contributions"][0] == {"client": "c1", "weight": 10.0}


def test_a_wrong_catalogue_is_refused(pair: World) -> None:
    pair.launch()
    claim = pair.planner.claim()
    assert claim is not None
    spec = {"tensors": {"w": {"shape": [3]}}}
    catalogue = {"base_digest": "a" * 64, "components": {"proj": spec, "head.other": spec}}
    path = f"/v1/assignments/{claim['assignment_id']}/catalogue"
    problem = pair.planner("PUT", path, params=held(claim), json=catalogue).json()
    assert problem["code"] == "wrong_catalogue"
    assert "components: head.digits is missing; add it" in problem["errors"]
    assert "components: head.other is not asked for; remove it" in problem["errors"]


def test_a_dead_postgres_is_a_503_with_retry_after(tmp_path: Path, world: World) -> None:
    with TestClient(create_app(make_settings(NOWHERE, tmp_path, DEAD_REDIS))) as http:
        headers = {"Authorization": f"Bearer {world.operator.key}"}
        for path in ("/v1/jobs", "/v1/clients", "/readyz"):
            answer = http.get(path, headers=headers)
            assert answer.status_code == 503, path
            assert answer.json()["code"] == "unavailable"
            assert int(answer.headers["Retry-After"]) > 0
        assert http.get("/healthz").status_code == 200


def test_readiness_tells_of_redis_and_does_not_need_it(
    world: World, redis_url: str, tmp_path: Path
) -> None:
    assert world.http.get("/readyz").json() == {"status": "ok", "redis": "away"}
    database_url = world.context.settings.database_url
    alive = make_world(make_settings(database_url, tmp_path, redis_url))
    with alive.http:
        assert alive.http.get("/readyz").json() == {"status": "ok", "redis": "ok"}


def test_whoever_asks_is_told_whose_key_it_is_and_was_heard_of(pair: World) -> None:
    assert pair.viewer.ok("GET", "/v1/whoami") == {"scope": "viewer", "client": None}
    pair.execute("UPDATE clients SET seen_at = NULL")
    assert pair.clients["c1"].ok("GET", "/v1/whoami") == {"scope": "client", "client": "c1"}
    assert pair.value("SELECT string_agg(id, ' ') FROM clients WHERE seen_at IS NOT NULL") == "c1"


def test_a_client_that_asks_in_vain_was_heard_of(pair: World) -> None:
    seen = "SELECT seen_at FROM clients WHERE id = 'c1'"
    pair.execute("UPDATE clients SET seen_at = now() - interval '16 s'")
    assert pair.clients["c1"].claim() is None
    first = pair.value(seen)
    assert pair.value("SELECT max(seen_at) > now() - interval '5 s' FROM clients")
    assert pair.clients["c1"].claim() is None
    assert pair.value(seen) == first, "not with every request"


@pytest.mark.parametrize(
    ("module", "arguments", "url"),
    [
        ("server.main", [], NOWHERE),
        ("server.background", [], NOWHERE),
        ("server.migrate", [], ""),
        ("server.admin", ["create-key", "--scope", "viewer"], "sqlite://"),
    ],
)
def test_commands_say_in_one_sentence_what_is_missing(
    module: str, arguments: list[str], url: str, tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        "TAPESTRY_DATABASE_URL": url,
        "TAPESTRY_REDIS_URL": DEAD_REDIS,
        "TAPESTRY_ARTIFACTS_DIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert "TAPESTRY_DATABASE_URL" in done.stderr


def test_a_schema_that_is_not_current_is_said(postgres_url: str, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "TAPESTRY_DATABASE_URL": postgres_url,
        "TAPESTRY_REDIS_URL": DEAD_REDIS,
        "TAPESTRY_ARTIFACTS_DIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-m", "server.main"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "run `python -m server.migrate`" in done.stderr


def card(samples: int = 10, n_classes: int = 2) -> Json:
    split = {"samples": samples, "per_class": [samples] * n_classes}
    task = {"kind": "image_classification", "skipped": 0}
    task |= dict.fromkeys(("train", "validation", "test"), split)
    return {"tasks": {"digits": task}, "errors": 1, "warnings": 2}


def test_a_published_card_is_shown_and_goes_with_the_next_offer(pair: World) -> None:
    c1 = pair.clients["c1"]
    shown = c1.ok("PUT", "/v1/clients/c1/offer", json={**offer(), "card": card()})
    assert shown["offer"]["card"]["tasks"]["digits"]["train"]["per_class"] == [10, 10]
    assert pair.viewer.ok("GET", "/v1/clients/c1")["offer"]["card"]["warnings"] == 2
    job = pair.launch()
    kept = pair.value("SELECT offer->>'card' FROM job_clients WHERE client_id = 'c1'")
    assert kept is None, "a job keeps none"
    assert pair.job(job)["state"] == "planning"
    c1.ok("PUT", "/v1/clients/c1/offer", json=offer())
    assert pair.viewer.ok("GET", "/v1/clients/c1")["offer"]["card"] is None


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (card(n_classes=5000), "larger than"),
        ({**card(), "tasks": {"other": card()["tasks"]["digits"]}}, "is no task of the offer"),
        ({**card(), "sentences": ["a path"]}, "is not a known field"),
        (card(samples=-1), "must be at least 0"),
    ],
    ids=["too large", "another task", "sentences", "negative"],
)
def test_a_card_that_is_not_what_it_may_be_is_refused(pair: World, wrong: Json, says: str) -> None:
    answer = pair.clients["c1"]("PUT", "/v1/clients/c1/offer", json={**offer(), "card": wrong})
    assert answer.status_code == 422
    assert says in answer.text
