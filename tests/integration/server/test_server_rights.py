"""Every route for every principal, bodies before and behind the gate, and the OpenAPI document."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from server.auth import create_key, scopes_of
from server.columns import Scope
from shared.problem_codes import MEANINGS, Code
from shared.views import Problem
from tests.support.scripted import DEAD_REDIS, Caller, World, make_settings, make_world, offer

pytestmark = pytest.mark.integration

ADMINS = {"admin"}
OPERATORS = {"operator"} | ADMINS
VIEWERS = OPERATORS | {"viewer"}
WORKERS = {"client", "planner"}
RIGHTS = {
    "GET /healthz": set(),
    "GET /readyz": set(),
    "GET /metrics": VIEWERS,
    "POST /v1/jobs": OPERATORS,
    "POST /v1/jobs:dry-run": OPERATORS,
    "GET /v1/dry-runs/{dry_run_id}": VIEWERS,
    "POST /v1/dry-runs:claim": {"planner"},
    "PUT /v1/dry-runs/{dry_run_id}/description": {"planner"},
    "PUT /v1/dry-runs/{dry_run_id}/failure": {"planner"},
    "GET /v1/jobs": VIEWERS,
    "GET /v1/jobs/{job_id}": VIEWERS,
    "POST /v1/jobs/{job_id}/cancel": OPERATORS,
    "POST /v1/jobs/{job_id}/pause": OPERATORS,
    "POST /v1/jobs/{job_id}/resume": OPERATORS,
    "POST /v1/jobs/{job_id}/fork": OPERATORS,
    "POST /v1/jobs/{job_id}/fork:dry-run": OPERATORS,
    "GET /v1/jobs/{job_id}/events": VIEWERS,
    "GET /v1/events": VIEWERS,
    "GET /v1/jobs/{job_id}/waiting": VIEWERS,
    "GET /v1/jobs/{job_id}/rounds": VIEWERS,
    "GET /v1/jobs/{job_id}/rounds/{number}": VIEWERS,
    "GET /v1/jobs/{job_id}/timeline": VIEWERS,
    "GET /v1/jobs/{job_id}/versions": VIEWERS,
    "GET /v1/jobs/{job_id}/versions/{number}": VIEWERS,
    "GET /v1/jobs/{job_id}/losses": VIEWERS,
    "GET /v1/jobs/{job_id}/replacements": VIEWERS,
    "GET /v1/jobs/{job_id}/contributions": VIEWERS,
    "GET /v1/jobs/{job_id}/components": VIEWERS,
    "GET /v1/jobs/{job_id}/traffic": VIEWERS,
    "GET /v1/jobs/{job_id}/scores": VIEWERS,
    "GET /v1/jobs/{job_id}/report": VIEWERS,
    "GET /v1/jobs/{job_id}/benefits": VIEWERS,
    "GET /v1/jobs/{job_id}/attendance": VIEWERS,
    "GET /v1/jobs/{job_id}/takeaway": {"client"},
    "GET /v1/jobs/{job_id}/shelf": VIEWERS | {"client"},
    "POST /v1/jobs/{job_id}/shelf": {"client"},
    "DELETE /v1/jobs/{job_id}/shelf": OPERATORS | {"client"},
    "GET /v1/jobs/{job_id}/shelf/{model_id}": {"client"},
    "PATCH /v1/jobs/{job_id}/shelf/{model_id}": {"client"},
    "POST /v1/clients": OPERATORS,
    "GET /v1/clients": VIEWERS,
    "GET /v1/clients/{client}": VIEWERS,
    "PUT /v1/clients/{client}/offer": {"client"},
    "POST /v1/clients/{client}/keys": ADMINS,
    "POST /v1/keys": ADMINS,
    "GET /v1/keys": ADMINS,
    "DELETE /v1/keys/{prefix}": ADMINS,
    "GET /v1/whoami": VIEWERS | WORKERS,
    "POST /v1/assignments:claim": WORKERS,
    "POST /v1/assignments/{assignment_id}/heartbeat": WORKERS,
    "POST /v1/assignments/{assignment_id}/result": WORKERS,
    "POST /v1/assignments/{assignment_id}/failure": WORKERS,
    "POST /v1/assignments/{assignment_id}/release": WORKERS,
    "PUT /v1/assignments/{assignment_id}/catalogue": {"planner"},
    "POST /v1/uploads": WORKERS,
    "GET /v1/uploads/{upload_id}": WORKERS,
    "PATCH /v1/uploads/{upload_id}": WORKERS,
    "GET /v1/artifacts/{sha256}": OPERATORS | {"client"},
    "HEAD /v1/artifacts/{sha256}": OPERATORS | {"client"},
    "POST /v1/artifacts:bundle": OPERATORS | {"client"},
    # pages, and what they load
    "GET /signin": set(),
    "POST /signin": set(),
    "POST /signout": set(),
    "GET /static/{name}": set(),
    "GET /docs": set(),
    "GET /": VIEWERS,
    "GET /jobs/{job_id}": VIEWERS,
    "GET /jobs/{job_id}/events": VIEWERS,
    "GET /jobs/{job_id}/benefits": VIEWERS,
    "GET /jobs/{job_id}/report.html": VIEWERS,
    "GET /jobs/{job_id}/versions": VIEWERS,
    "GET /jobs/{job_id}/versions/{number}": VIEWERS,
    "GET /jobs/{job_id}/ledger": VIEWERS,
    "GET /compare": VIEWERS,
    "GET /clients": VIEWERS,
    "GET /clients/{client}": VIEWERS,
}
CREATING = {
    "POST /v1/jobs",
    "POST /v1/jobs:dry-run",
    "POST /v1/jobs/{job_id}/fork",
    "POST /v1/jobs/{job_id}/fork:dry-run",
    "POST /v1/clients",
    "POST /v1/clients/{client}/keys",
    "POST /v1/keys",
    "POST /v1/uploads",
    "POST /v1/jobs/{job_id}/shelf",
}
BYTES = {"application/octet-stream", "text/event-stream"}


@pytest.fixture(scope="module")
def world(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One app for the module: nothing here changes a job."""
    artifacts: Path = tmp_path_factory.mktemp("artifacts")
    world = make_world(make_settings(database_url, artifacts, DEAD_REDIS))
    with world.http:
        world.add_client("c1", offer())
        yield world


def app_of(world: World) -> FastAPI:
    assert isinstance(world.http.app, FastAPI)
    return world.http.app


def declared(app: FastAPI) -> dict[str, set[str]]:
    found = {}
    for route in iter_route_contexts(app.routes):
        scopes = scopes_of(route)
        if scopes is not None:
            for method in route.methods or ():
                found[f"{method} {route.path}"] = {str(scope) for scope in scopes}
    return found


def address(route: str) -> tuple[str, str]:
    method, path = route.split(" ")
    path = path.replace("{sha256}", "a" * 64).replace("{client}", "c1").replace("{number}", "1")
    path = path.replace("{prefix}", "00000000")
    return method, re.sub(r"\{\w+_id\}", str(uuid4()), path)


def test_the_routes_declare_exactly_these_rights(world: World) -> None:
    assert declared(app_of(world)) == RIGHTS


@pytest.mark.parametrize("scope", [*Scope, None])
def test_every_route_for_every_principal(world: World, scope: Scope | None) -> None:
    caller = caller_with(world, scope)
    for route, allowed in RIGHTS.items():
        if not allowed:
            continue
        status = caller(*address(route)).status_code
        if scope is None:
            assert status == 401, route
        elif scope in allowed:
            assert status not in {401, 403, 500}, route
        else:
            assert status == 403, route


def caller_with(world: World, scope: Scope | None) -> Caller:
    if scope is None:
        return Caller(world.http, "tap_12345678_wrong")
    with world.context.sessions.begin() as session:
        key = create_key(session, scope, "c1" if scope is Scope.CLIENT else None)
    return Caller(world.http, key)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Basic abc",
        "Bearer tap_",
        "Bearer tap_\x7f_x",
        "Bearer xyz",
        "Bearer tap_a_b_c",
    ],
)
def test_odd_keys_are_refused(world: World, header: str) -> None:
    answer = world.http.get("/v1/jobs", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_revoked_or_expired_key_is_refused_at_once(world: World) -> None:
    for column in ("revoked_at", "expires_at"):
        caller = caller_with(world, Scope.VIEWER)
        assert caller("GET", "/v1/jobs").status_code == 200
        prefix = caller.key.split("_")[1]
        statement = f"UPDATE api_keys SET {column} = now() WHERE prefix = :p"  # noqa: S608  # above
        world.execute(statement, p=prefix)
        assert caller("GET", "/v1/jobs").status_code == 401


def test_keys_are_stored_as_hashes_only(world: World) -> None:
    secret = world.operator.key.split("_", 2)[2]
    assert world.value("SELECT string_agg(k::text, ' ') FROM api_keys k").count(secret) == 0


def test_a_key_is_asked_for_before_the_body_is_read(world: World) -> None:
    huge = {"Content-Length": str(10**12)}
    assert world.http.post("/v1/jobs", headers=huge).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [
        ("POST", "/v1/clients", 64 << 10),
        ("PUT", "/v1/clients/c1/offer", 64 << 10),
        ("POST", "/v1/jobs", 1 << 20),
        ("POST", "/v1/jobs:dry-run", 1 << 20),
        ("POST", f"/v1/jobs/{UUID(int=1)}/fork", 1 << 20),
        ("POST", f"/v1/jobs/{UUID(int=1)}/fork:dry-run", 1 << 20),
        ("POST", f"/v1/assignments/{UUID(int=1)}/result", 1 << 20),
        ("PUT", f"/v1/assignments/{UUID(int=1)}/catalogue", 1 << 20),
        ("PUT", f"/v1/dry-runs/{UUID(int=1)}/description", 1 << 20),
    ],
)
def test_bodies_have_a_limit(world: World, method: str, path: str, limit: int) -> None:
    for size, refused in ((limit, False), (limit + 1, True)):
        body = b'"' + b"x" * (size - 2) + b'"'
        headers = {"Content-Type": "application/json"}
        status = world.operator(method, path, content=body, headers=headers).status_code
        assert (status == 413) is refused


def test_bodies_declare_their_length_and_have_no_encoding(world: World) -> None:
    chunked = world.operator("POST", "/v1/clients", content=iter([b"{}"]))
    assert chunked.json()["code"] == "length_required"
    packed = world.operator("POST", "/v1/clients", headers={"Content-Encoding": "gzip"})
    assert packed.json()["code"] == "content_encoding"


@pytest.mark.parametrize(
    ("headers", "content"),
    [({"Content-Encoding": "gzip"}, b"{}"), ({"Content-Length": str(1 << 50)}, b""), ({}, b"{}")],
)
def test_what_is_asked_without_a_body_has_none_that_is_read(
    world: World, headers: dict[str, str], content: bytes
) -> None:
    asked = world.operator("GET", "/v1/jobs", headers=headers, content=content)
    assert asked.status_code == 200
    streamed = world.operator("GET", "/v1/jobs", headers=headers, content=iter([content]))
    assert streamed.status_code == 200


def test_unknown_addresses_and_methods_are_problems(world: World) -> None:
    for method, path, status in (("GET", "/v2", 404), ("DELETE", "/v1/jobs", 405)):
        answer = world.operator(method, path)
        assert answer.status_code == status
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_openapi_is_complete(world: World) -> None:
    document = world.http.get("/openapi.json").json()
    known = {tag["name"] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            check_operation(f"{method.upper()} {path}", operation, known)
    assert "Problem" in document["components"]["schemas"]
    for schema in document["components"]["schemas"].values():
        assert schema.get("description") or schema["title"].endswith("Error"), schema["title"]


def test_all_that_creates_takes_an_idempotency_key(world: World) -> None:
    document = world.http.get("/openapi.json").json()
    operations = {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    creating = {route for route, each in operations.items() if "201" in each["responses"]}
    assert creating == CREATING
    with_key = {
        route
        for route, each in operations.items()
        if any(p["name"] == "Idempotency-Key" for p in each.get("parameters", ()))
    }
    assert with_key == CREATING


def check_operation(route: str, operation: dict[str, Any], tags: set[str]) -> None:
    assert operation["summary"], route
    assert operation["description"], route
    assert set(operation["tags"]) <= tags, route
    if RIGHTS[route]:
        assert {"401", "403", "422", "503"} <= set(operation["responses"]), route
        told = {scope for each in operation["security"] for scope in each["HTTPBearer"]}
        assert told == RIGHTS[route], route
    for parameter in operation.get("parameters", ()):
        assert parameter["description"], (route, parameter["name"])
    assert any(shows(route, *each) for each in operation["responses"].items()), route
    for status, answer in operation["responses"].items():
        assert answer["description"], (route, status)
        for kind, content in answer.get("content", {}).items():
            if int(status) >= 400:
                assert kind == "application/problem+json", (route, status)
                assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
                check_problems(int(status), content["examples"])
            elif "json" in kind:
                assert content["example"], (route, status)
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = content["schema"]
        assert "example" in content or "examples" in schema or schema["type"] == "string", route


def check_problems(status: int, examples: dict[str, dict[str, Any]]) -> None:
    assert examples
    for name, each in examples.items():
        problem = Problem.model_validate(each["value"])
        statuses, meaning = MEANINGS[Code(problem.code)]
        assert (problem.code, problem.status, each["summary"]) == (name, status, meaning)
        assert str(status) in statuses.split(", ")
        assert problem.type.endswith(f":{name}")


def shows(route: str, status: str, answer: dict[str, Any]) -> bool:
    """Whether an answer is a success whose content has an example, or that has none to show."""
    content = answer.get("content", {})
    if not status.startswith("2"):
        return False
    if status == "204" or route.startswith("HEAD"):
        return not content
    return bool(content) and all(kind in BYTES or each["example"] for kind, each in content.items())
