"""Errors that own their HTTP answer, as application/problem+json with a stable code."""

import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

from server.watching.requests import REQUEST_HEADER
from shared.artifacts import StoreAwayError
from shared.problem_codes import Code
from shared.spec_files import explain, wrong
from shared.views import Problem

RETRY_AFTER_S = 2
_UNREADABLE = (
    "body: is too deeply nested, has a number of too many digits or is not UTF-8; correct it"
)
_log = logging.getLogger(__name__)
_MAX_SENTENCES = 100
_LONGEST, _END = 2000, 300  # of a sentence, and of its end, which says what to do
_OF_ROUTING = {404: Code.NOT_FOUND, 405: Code.METHOD_NOT_ALLOWED}


class ProblemResponse(JSONResponse):
    """The answer to a request that was not fulfilled."""

    media_type = "application/problem+json"


class ProblemError(Exception):
    """Something that the caller must know and can act upon."""

    def __init__(
        self,
        status: int,
        code: Code,
        detail: str,
        errors: Iterable[str] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})
        self.problem = Problem(
            type=f"urn:tapestry:problem:{code}",
            title=HTTPStatus(status).phrase,
            status=status,
            code=code,
            detail=_cut(detail),
            errors=tuple(map(_cut, tuple(errors)[:_MAX_SENTENCES])),
        )

    def response(self) -> ProblemResponse:
        """The HTTP answer."""
        content = self.problem.model_dump(mode="json")
        return ProblemResponse(content, status_code=self.status, headers=self.headers)


def _cut(sentence: str) -> str:
    """The sentence, of which the middle is left out where it is too long."""
    if len(sentence) <= _LONGEST:
        return sentence
    return f"{sentence[: _LONGEST - _END]} ... {sentence[-_END:]}"


def not_found(what: str) -> ProblemError:
    """404: it does not exist, or is not the caller's to see."""
    return ProblemError(404, Code.NOT_FOUND, f"There is no such {what}: check the address.")


def stale_lease() -> ProblemError:
    """409: somebody or something else decided about the assignment since."""
    return ProblemError(
        409,
        Code.STALE_LEASE,
        "This lease is no longer the assignment's current one: drop the work and claim again.",
    )


def unavailable(detail: str) -> ProblemError:
    """503 with Retry-After."""
    return ProblemError(503, Code.UNAVAILABLE, detail, headers={"Retry-After": str(RETRY_AFTER_S)})


def database_away() -> ProblemError:
    """503: Postgres does not answer, or is too busy to."""
    return unavailable("The database does not answer: try again in a moment.")


def store_away() -> ProblemError:
    """503: the bucket of artifacts does not answer."""
    return unavailable("The artifact store does not answer: try again in a moment.")


DATABASE_AWAY = (OperationalError, InterfaceError, PoolTimeoutError)


def install(app: FastAPI) -> None:
    """Answer every error of the app with a problem."""
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(DataError, _on_data)
    app.add_exception_handler(StoreAwayError, _on_store)
    for kind in DATABASE_AWAY:
        app.add_exception_handler(kind, _on_database)
    app.add_exception_handler(Exception, _on_bug)


def _on_problem(_: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, ProblemError)  # noqa: S101  # Starlette's registry guarantees it
    return error.response()


def _on_http(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  # Starlette's registry guarantees it
    if error.status_code == HTTPStatus.BAD_REQUEST:  # FastAPI's of a body that is no JSON to Python
        return invalid([_UNREADABLE]).response()
    code = _OF_ROUTING.get(error.status_code, Code.BAD_REQUEST)
    detail = f"{error.detail}: check the method, the address and the body."
    headers = dict(error.headers or {})
    if code is Code.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    return ProblemError(error.status_code, code, detail, headers=headers).response()


def _methods(request: Request) -> set[str]:
    """What the address may be asked by: of several routes, Starlette tells the first one's."""
    path = request.scope["path"]
    here = [each for each in iter_route_contexts(request.app.routes) if each.path_regex.match(path)]
    return {method for route in here for method in route.methods or ()}


def _on_database(_: Request, __: Exception) -> ProblemResponse:
    return database_away().response()


def _on_store(_: Request, error: Exception) -> ProblemResponse:
    _log.warning("%s", error)
    return store_away().response()


def _on_data(_: Request, __: Exception) -> ProblemResponse:
    detail = "A value cannot be stored (a NUL character or an extreme number): correct it."
    return ProblemError(422, Code.INVALID, detail).response()


def _on_bug(request: Request, _: Exception) -> ProblemResponse:
    name = request.scope.get("tapestry.request_id", "")  # this answer passes no middleware of ours
    detail = "The server has a fault: look at its log, and report it."
    return ProblemError(500, Code.INTERNAL, detail, headers={REQUEST_HEADER: name}).response()


def _on_validation(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # Starlette guarantees it
    sentences = _body_sentences(request, error) or [_plain(detail) for detail in error.errors()]
    return invalid(sentences).response()


def invalid(sentences: list[str]) -> ProblemError:
    """422 with one sentence for each field."""
    return ProblemError(422, Code.INVALID, f"Correct the request: {sentences[0]}", sentences)


def _plain(detail: ErrorDetails) -> str:
    return f"{'.'.join(str(part) for part in detail['loc'])}: {wrong(detail)}"


def _body_sentences(request: Request, error: RequestValidationError) -> list[str]:
    """Sentences about the body that name fields and remedies; empty when it is not the body."""
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or route.body_field is None or error.body is None:
        return []
    if isinstance(error.body, bytes):
        given = request.headers.get("content-type", "missing")[:100]
        return [f"body: its Content-Type is {given}; send JSON as application/json"]
    if any(detail["type"] == "json_invalid" for detail in error.errors()):
        return ["body: is not valid JSON; correct the syntax"]
    kind: Any = route.body_field.field_info.annotation
    try:
        TypeAdapter(kind).validate_python(error.body)
    except ValidationError as again:
        return explain(kind, again)
    return []
