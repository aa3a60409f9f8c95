"""Hostile and right requests made of the checked-in contract: every answer is one that it names.

The contract is docs/reference/openapi.json, as whoever calls the API reads it. What waits by
design (`wait`, streams) is asked not to. `make contract EXAMPLES=200` asks for more.
"""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from server.auth import create_key
from server.columns import Scope
from server.gate import STREAMED, WITH_BODY
from server.main import create_app
from tests.support.scripted import DEAD_REDIS, World, make_settings, make_world, offer
from tests.support.serving import served

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]
CONTRACT: Any = schemathesis.openapi.from_path(
    Path(__file__).parents[3] / "docs" / "reference" / "openapi.json"
)
WAITING = ("wait", "Accept", "Authorization")
DEAD_DATABASE = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"
EXAMPLES = int(os.environ.get("TAPESTRY_CONTRACT_EXAMPLES", "4"))
PRINCIPALS = [Scope.ADMIN, Scope.CLIENT, Scope.PLANNER]
CONFORMS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def world(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two clients, and a job whose first round is open."""
    artifacts = tmp_path_factory.mktemp("artifacts")
    made = make_world(make_settings(database_url, artifacts, DEAD_REDIS))
    made.add_client("c1", offer())
    made.add_client("c2", offer())
    made.plan(made.launch())
    yield made
    made.hang_up()


@pytest.fixture(scope="module")
def keys(world: World) -> dict[Scope, str]:
    with world.context.sessions.begin() as session:
        return {
            scope: create_key(session, scope, "c1" if scope is Scope.CLIENT else None)
            for scope in PRINCIPALS
        }


@pytest.fixture(scope="module")
def job(world: World) -> str:
    [found] = world.viewer.ok("GET", "/v1/jobs")["items"]
    return str(found["id"])


def operations() -> list[str]:
    """As `GET /v1/jobs`."""
    return [each.ok().label for each in CONTRACT.get_all_operations()]


def codes(operation: str, status: int) -> set[str]:
    """The problems that the contract names for an operation's status."""
    method, path = operation.split(" ")
    answer = CONTRACT.raw_schema["paths"][path][method.lower()]["responses"][str(status)]
    return set(answer["content"]["application/problem+json"]["examples"])


def at(url: str) -> dict[str, Any]:
    """The contract's operations, to be asked of a server."""
    contract: Any = schemathesis.openapi.from_url(f"{url}/openapi.json")
    return {each.ok().label: each.ok() for each in contract.get_all_operations()}


def hold(operation: Any, check: Callable[[Any, Any], None], key: str) -> None:
    """Ask for the operation in as many ways as wanted, with a key; `check` looks at each answer."""

    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any) -> None:
        for name in WAITING:
            case.query.pop(name, None)
            case.headers.pop(name, None)
        check(case, lambda: case.call(headers={"Authorization": f"Bearer {key}"}))

    ask()


@pytest.mark.parametrize("operation", operations())
@pytest.mark.parametrize("principal", PRINCIPALS)
def test_every_answer_is_one_that_the_contract_names(
    up: dict[str, Any], keys: dict[Scope, str], job: str, principal: Scope, operation: str
) -> None:
    def check(case: Any, call: Callable[[], Any]) -> None:
        if "job_id" in case.path_parameters and UUID(str(case.path_parameters["job_id"])).int % 2:
            case.path_parameters["job_id"] = job  # one that is there
        answer = call()
        case.validate_response(answer, checks=[not_a_server_error, *CONFORMS])
        if answer.status_code >= 400 and answer.content:
            assert answer.json()["code"] in codes(operation, answer.status_code)

    hold(up[operation], check, keys[principal])


@pytest.mark.parametrize("operation", operations())
def test_without_postgres_one_is_asked_to_come_again(down: dict[str, Any], operation: str) -> None:
    def check(case: Any, call: Callable[[], Any]) -> None:
        answer = call()
        if answer.status_code >= 500:
            assert answer.status_code == 503, answer.text
            assert int(answer.headers["retry-after"][0]) > 0
        case.validate_response(answer, checks=CONFORMS)

    hold(down[operation], check, "tap_00000000_" + "a" * 43)


BODIES: dict[str, tuple[int, dict[str, str], Any]] = {
    "bad_length": (400, {"Content-Length": "many"}, b"{}"),
    "length_required": (411, {}, lambda: iter([b"{}"])),
    "too_large": (413, {"Content-Length": str(1 << 50)}, b"{}"),
    "content_encoding": (415, {"Content-Encoding": "gzip"}, b"{}"),
}


def refusals() -> list[tuple[str, str]]:
    """Operations that take a body, and what the gate says of one that it does not let in.

    How much a stream may bring is said by its route, of an upload that is there.
    """
    taking = [each.split(" ") for each in operations()]
    return [
        (f"{method} {path}", code)
        for method, path in taking
        for code in BODIES
        if method in WITH_BODY and not (code == "too_large" and STREAMED.fullmatch(path))
    ]


@pytest.mark.parametrize(("operation", "code"), refusals())
def test_what_the_gate_says_of_a_body_is_in_the_contract(
    world: World, operation: str, code: str
) -> None:
    status, headers, content = BODIES[code]
    assert code in codes(operation, status)
    method, path = operation.split(" ")
    answer = world.http.request(
        method,
        re.sub("[{}]", "", path),
        headers={"Authorization": f"Bearer {world.operator.key}", **headers},
        content=content() if callable(content) else content,
    )
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.fixture(scope="module")
def up(world: World) -> Iterator[dict[str, Any]]:
    """The operations of a server whose database is there."""
    assert isinstance(world.http.app, FastAPI)
    with served(world.http.app) as url:
        yield at(url)


@pytest.fixture(scope="module")
def down(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The operations of one whose database is away."""
    artifacts = tmp_path_factory.mktemp("none")
    with served(create_app(make_settings(DEAD_DATABASE, artifacts, DEAD_REDIS))) as url:
        yield at(url)
