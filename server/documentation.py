"""What OpenAPI says about answers that several routes share."""

from typing import Any

from shared.views import Problem

_TEXTS = {
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
_ALWAYS = (401, 403, 422, 503)

Responses = dict[int | str, dict[str, Any]]


def problems(*statuses: int) -> Responses:
    """The problem answers of a route: those of every route, and `statuses`."""
    return {status: _problem(status) for status in sorted({*_ALWAYS, *statuses})}


def open_problems(*statuses: int) -> Responses:
    """The problem answers of a route without a key."""
    return {status: _problem(status) for status in statuses}


def _problem(status: int) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    example = {
        "type": "urn:tapestry:problem:example",
        "title": "Example",
        "status": status,
        "code": "example",
        "detail": f"{_TEXTS[status]} The detail says what to do about it.",
        "errors": [],
    }
    content = {"application/problem+json": {"schema": schema, "example": example}}
    return {"description": _TEXTS[status], "content": content}


def example(value: Any, description: str, status: int = 200) -> Responses:
    """The example of a route's answer."""
    return {
        status: {"description": description, "content": {"application/json": {"example": value}}}
    }
