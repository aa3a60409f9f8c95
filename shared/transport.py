"""How requests travel to the coordinator's API, and how files travel in one stream."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from shared import connecting, tracing
from shared.artifacts import CHUNK_BYTES
from shared.crash_points import crash_point
from shared.problem_codes import Code
from shared.views import Problem

B = TypeVar("B", bound=BaseModel)
_PASSING = frozenset({Code.UPLOAD_BUSY, Code.WRONG_OFFSET})  # an earlier request of ours still ends
_AWAY = frozenset({502, 503, 504})  # of a proxy before an API that is started again
UNUSABLE = "unreachable"  # the code of a problem that no API of ours has told
ANSWER_S = 30.0
_CONNECT_S = 5.0
_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 4.0)


class ApiError(Exception):
    """The API answered with a problem, or could not be reached (`problem.status` 0)."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__("; ".join(problem.errors) or problem.detail)


class Transport:
    """One principal's connection. Raises ApiError where its proxy or authorities cannot be used.

    Requests are repeated while the API cannot be reached or answers 503, for about `patience_s`
    seconds: all of them may be.
    """

    def __init__(self, url: str, key: str, patience_s: float = 8.0) -> None:
        self.url = url.rstrip("/")
        self._patience_s = patience_s
        try:
            self._http = connecting.connection(
                self.url,
                headers={"Authorization": f"Bearer {key}"},
                timeout=httpx.Timeout(ANSWER_S, connect=_CONNECT_S),
                event_hooks={"request": [_name_trace]},
            )
        except connecting.SettingError as error:
            raise ApiError(no_answer(0, str(error))) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(self, kind: type[B], method: str, path: str, **options: Any) -> B:
        return read(kind, self._request(method, path, **options))

    def _pages(
        self, kind: type[Any], path: str, asked: Mapping[str, Any] | None = None, limit: int = 200
    ) -> Iterator[Any]:
        """The items of a list's pages, each page asked for when it is needed."""
        given = (asked or {}).items()
        params = {name: value for name, value in given if value not in (None, "", [], ())}
        while True:
            page = self._send(kind, "GET", path, params={**params, "limit": limit})
            yield from page.items
            if page.next is None:
                return
            params["cursor"] = page.next

    def _request(
        self,
        method: str,
        path: str,
        body: BaseModel | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = ANSWER_S,
    ) -> httpx.Response:
        sent = dict(headers or {})
        content = None
        if body is not None:
            content = body.model_dump_json().encode()
            sent["Content-Type"] = "application/json"

        def call() -> httpx.Response:
            patience = httpx.Timeout(timeout, connect=_CONNECT_S)
            return self._http.request(
                method, path, content=content, params=params, headers=sent, timeout=patience
            )

        return self._repeat(call)

    def _repeat(self, call: Callable[[], httpx.Response]) -> httpx.Response:
        """The call's answer; repeated while the API is away. All our requests may be repeated."""
        end = time.monotonic() + self._patience_s
        for pause in (*_PAUSES_S, *([_PAUSES_S[-1]] * 1000)):
            problem = None
            try:
                response = call()
                if response.is_success:
                    return response
                problem = _problem(response)
                if not _passes(problem):
                    raise ApiError(problem)
            except httpx.RequestError as error:
                problem = no_answer(0, connecting.unreachable(self.url, error))
            if time.monotonic() + pause > end:
                raise ApiError(problem)
            time.sleep(pause)
        raise AssertionError  # the pauses outlast any patience


def _name_trace(request: httpx.Request) -> None:
    request.headers.update(tracing.headers())


def contents(paths: Iterable[Path], offset: int) -> Iterator[bytes]:
    """The files' bytes, one file after the other, from `offset` of the whole on."""
    for path in paths:
        size = path.stat().st_size
        if offset < size:
            with path.open("rb") as file:
                file.seek(offset)
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
                    crash_point("worker.uploading")
        offset = max(offset - size, 0)


class Stream:
    """A stream of bytes, taken file by file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def take(self, n_bytes: int) -> Iterator[bytes]:
        """The next `n_bytes`; fewer where the stream ends before."""
        while n_bytes and (chunk := self._rest or next(self._chunks, b"")):
            taken, self._rest = chunk[:n_bytes], chunk[n_bytes:]
            n_bytes -= len(taken)
            yield taken


def read(kind: type[B], response: httpx.Response) -> B:
    """What the API answered. Raises ApiError when it is something else."""
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as error:
        detail = (
            f"{response.request.url} answered with something else than a {kind.__name__} "
            f"({first_problem(error)}): check the URL and versions"
        )
        raise ApiError(no_answer(response.status_code, detail)) from error


def first_problem(error: ValidationError) -> str:
    """The first field of an answer that cannot be read, and what is wrong with it."""
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}"


def _problem(response: httpx.Response) -> Problem:
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:
        detail = (
            f"{response.request.url} answered {response.status_code} without a reason: check the "
            "URL and what stands between"
        )
        return no_answer(response.status_code, detail)


def _passes(problem: Problem) -> bool:
    """Whether the same request may succeed in a moment."""
    if problem.code == UNUSABLE:  # what stands between says that the API is away
        return problem.status in _AWAY
    return problem.status == httpx.codes.SERVICE_UNAVAILABLE or problem.code in _PASSING


def no_answer(status: int, detail: str) -> Problem:
    """The problem of an answer that nobody can use."""
    return Problem(
        type=f"urn:tapestry:problem:{UNUSABLE}",
        title="No usable answer",
        status=status,
        code=UNUSABLE,
        detail=detail,
    )
