"""Partial reads: `fields=id,state` keeps those fields of a JSON answer, or of a list's items.

The middleware cuts JSON; routes that answer otherwise, too, see to `Fields` by themselves.

And misspelt parameters, which would leave a question unasked: they are named.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, get_args

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from pydantic import BaseModel
from starlette.datastructures import MutableHeaders, QueryParams
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override

from server.errors import ProblemError, invalid
from server.held_back import JSON, HeldBack

FIELDS = "fields"
_ITEMS = "items"
_API = "/v1/"


class Partial:
    """ASGI middleware; answers 422 by itself where there is no such field."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; cut a JSON answer to what is asked for."""
        wanted = _wanted(scope)
        if wanted:
            send = _Answer(scope, receive, send, wanted).send
        await self._app(scope, receive, send)


def _wanted(scope: Scope) -> list[str]:
    if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(_API):
        return []
    if FIELDS.encode() not in scope["query_string"]:
        return []
    return _named(QueryParams(scope["query_string"]))


def _named(query: QueryParams) -> list[str]:
    given = query.getlist(FIELDS)
    return [name for each in given for part in each.split(",") if (name := part.strip())]


async def _fields_of(request: Request) -> list[str]:
    return _named(request.query_params)


Fields = Annotated[list[str], Depends(_fields_of)]  # empty for all


class _Answer(HeldBack):
    """An answer of which some is wanted."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, wanted: list[str]) -> None:
        super().__init__(send)
        self._scope, self._receive = scope, receive
        self._wanted = wanted

    @override
    async def finish(self, start: Message, body: bytes) -> None:
        try:
            some = self._cut(body)
        except ProblemError as error:
            await error.response()(self._scope, self._receive, self._send)
            return
        MutableHeaders(scope=start)["content-length"] = str(len(some))
        await self.let_go(start, some)

    def _cut(self, body: bytes) -> bytes:
        """Raises ProblemError (422)."""
        whole = json.loads(body)
        known = _fields(getattr(self._scope.get("route"), "response_model", None))
        if known is not None:
            check_names(self._wanted, known, "field")
        kept = frozenset(self._wanted)
        if _ITEMS in whole:
            whole[_ITEMS] = [_only(item, kept) for item in whole[_ITEMS]]
        else:
            whole = _only(whole, kept)
        return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()


def _only(item: Mapping[str, Any], kept: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name in kept}


def _fields(model: object) -> Sequence[str] | None:
    """The fields that an answer's objects may have; None where no model says so."""
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return None
    if _ITEMS not in model.model_fields:
        return list(model.model_fields)
    of = next(iter(get_args(model.model_fields[_ITEMS].annotation)), None)
    return _fields(of)


def check_names(given: Sequence[str], known: Sequence[str], what: str) -> None:
    """Raises ProblemError (422), with a sentence for each name that is not known."""
    told = [_sentence(name, known, what) for name in given if name not in known]
    if told:
        raise invalid(told)


def _sentence(name: str, known: Sequence[str], what: str) -> str:
    near = get_close_matches(name, known, 1)
    there = f"did you mean {near[0]}?" if near else f"choose from {', '.join(sorted(known))}"
    return f"{name}: there is no such {what} here; {there}" if known else f"{name}: leave it out"


async def _known_parameters(request: Request) -> None:
    """Raises ProblemError (422) for a query parameter that the route does not have."""
    if request.query_params and request.scope["path"].startswith(_API):
        route = request.scope["route"]
        more = [FIELDS] if request.method == "GET" and route.response_model else []
        known = dict.fromkeys([*_parameters(route.dependant), *more])
        check_names(list(request.query_params), list(known), "parameter")


KNOWN_PARAMETERS = Depends(_known_parameters)


def _parameters(dependant: Dependant) -> Iterator[str]:
    """Those of a route's query, a model's fields each by itself."""
    for field in dependant.query_params:
        model = field.field_info.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            yield from (each.alias or name for name, each in model.model_fields.items())
        else:
            yield field.alias
    for other in dependant.dependencies:
        yield from _parameters(other)


def describe(document: dict[str, Any]) -> None:
    """Add to OpenAPI what the middleware does."""
    for path, kinds in document["paths"].items():
        asked = kinds.get("get")
        if asked is None or not path.startswith(_API):
            continue
        if JSON in asked["responses"].get("200", {}).get("content", {}):
            asked.setdefault("parameters", []).append(
                {
                    "name": FIELDS,
                    "in": "query",
                    "required": False,
                    "description": "Fields to keep of the answer, or of each of a list's items, "
                    "with commas between them; all unless told.",
                    "schema": {"type": "string"},
                }
            )
