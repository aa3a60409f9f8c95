"""Commands of the command line, whose requests are answered from a table."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from cli.connection import Connection
from server.errors import not_found
from shared.api_client import ApiClient

URL = "http://127.0.0.1:1"
Answers = Mapping[str, tuple[int, Any]]
_NOTHING = (404, not_found("thing").problem.model_dump())


def answering(monkeypatch: pytest.MonkeyPatch, answers: Answers) -> list[httpx.Request]:
    """Have every command's requests answered by their paths; the list grows with each."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        status, body = answers.get(request.url.path, _NOTHING)
        return httpx.Response(status, json=body)

    def connect(_: Connection, __: float | None = None) -> ApiClient:
        api = ApiClient(URL, "key", patience_s=0)
        api._http.close()
        api._http = httpx.Client(base_url=api.url, transport=httpx.MockTransport(answer))
        return api

    monkeypatch.setattr(Connection, "open", connect)
    return requests
