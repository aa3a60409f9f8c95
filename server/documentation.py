"""What OpenAPI says about answers and parameters that several routes share, and who may call."""

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from server.auth import scopes_of
from server.errors import ProblemError
from server.examples.problems import DETAILS
from server.gate import WITH_BODY
from shared.problem_codes import MEANINGS, Code
from shared.views import Problem

_TEXTS = {
    400: "The length of the body is no number.",
    401: "No valid key.",
    403: "The key's scope does not allow it.",
    404: "It does not exist, or is not the caller's to see.",
    409: "It contradicts what is already decided.",
    411: "The length of the body is not declared.",
    413: "The body is too large.",
    415: "The body has a content encoding.",
    416: "The range lies outside the artifact.",
    422: "The request is wrong; each problem is named.",
    503: "Postgres or the artifact store does not answer; try again after Retry-After seconds.",
    507: "There is no space for the upload; try again after Retry-After seconds.",
}
_ALWAYS = (Code.UNAUTHORIZED, Code.FORBIDDEN, Code.INVALID, Code.UNAVAILABLE)
OF_BODIES = (Code.BAD_LENGTH, Code.LENGTH_REQUIRED, Code.TOO_LARGE, Code.CONTENT_ENCODING)
"""What the gate answers about a body, whichever route it is for."""
OF_DISKS = (Code.NO_SPACE, Code.STORE_READ_ONLY)
_PATH_PARAMETERS = {
    "assignment_id": "The assignment's id, from its claim.",
    "client": "The client's id.",
    "dry_run_id": "The dry run's id, from `POST /v1/jobs:dry-run`, or of a fork.",
    "job_id": "The job's id, from `POST /v1/jobs`.",
    "model_id": "The personal model's id, from the announcement of its bytes.",
    "prefix": "The key's prefix: what stands behind its `tap_`.",
    "sha256": "The artifact's name: the SHA-256 of its bytes.",
    "upload_id": "The upload's id, from its announcement.",
}

Responses = dict[int | str, dict[str, Any]]


def problems(*codes: Code) -> Responses:
    """The problem answers of a route: those of every route, and `codes`."""
    return open_problems(*_ALWAYS, *codes)


def open_problems(*codes: Code) -> Responses:
    """The problem answers of a route without a key."""
    found: dict[int, list[Code]] = {}
    for code in codes:
        found.setdefault(_status(code), []).append(code)
    return {status: _answer(status, found[status]) for status in sorted(found)}


def _status(code: Code) -> int:
    return int(MEANINGS[code][0].partition(",")[0])


def _answer(status: int, codes: Iterable[Code]) -> dict[str, Any]:
    content = {
        "schema": {"$ref": f"#/components/schemas/{Problem.__name__}"},
        "examples": {
            str(code): {"summary": MEANINGS[code][1], "value": _problem(status, code)}
            for code in codes
        },
    }
    return {"description": _TEXTS[status], "content": {"application/problem+json": content}}


def _problem(status: int, code: Code) -> dict[str, Any]:
    sentences = [DETAILS[code].partition(": ")[2]] if status == 422 else []
    return ProblemError(status, code, DETAILS[code], sentences).problem.model_dump(mode="json")


def example(value: Any, description: str, status: int = 200) -> Responses:
    """The example of a route's answer."""
    return {
        status: {"description": description, "content": {"application/json": {"example": value}}}
    }


def describe(app: FastAPI, document: dict[str, Any]) -> None:
    """Say in OpenAPI what path parameters are, who may call, and what the gate answers."""
    scopes = {
        (route.path, method): scopes_of(route)
        for route in iter_route_contexts(app.routes)
        for method in route.methods or ()
    }
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    parameter.setdefault("description", _PATH_PARAMETERS.get(parameter["name"]))
            allowed = sorted(scopes[path, method.upper()] or ())
            if allowed:  # one requirement each: any of them will do
                operation["security"] = [{"HTTPBearer": [scope]} for scope in allowed]
            if method.upper() in WITH_BODY:
                _add(operation["responses"], open_problems(*OF_BODIES))


def _add(answers: dict[str, Any], more: Responses) -> None:
    """Have an operation's answers include the problems, in the order of their statuses."""
    for status, answer in more.items():
        there = answers.setdefault(str(status), answer)["content"]["application/problem+json"]
        content = answer["content"]["application/problem+json"]
        there["examples"] = {**content["examples"], **there["examples"]}
    in_order = dict(sorted(answers.items()))
    answers.clear()
    answers.update(in_order)
