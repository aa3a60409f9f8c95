"""The typed HTTP client of the coordinator's API; the command line and the workers use it."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from shared.artifacts import CHUNK_BYTES
from shared.crash_points import crash_point
from shared.job_spec import JobSpec
from shared.messages import (
    ArtifactBundle,
    AssignmentResult,
    Catalogue,
    Claim,
    ClaimRequest,
    ClientOffer,
    Failure,
    Heartbeat,
    HeartbeatReply,
    HeldAssignment,
    HeldLease,
    UploadCreate,
    UploadView,
)
from shared.views import (
    AssignmentView,
    ClientCreate,
    ClientCreated,
    ClientList,
    ClientView,
    EventList,
    JobDetail,
    JobFork,
    JobList,
    JobView,
    Problem,
    ReportView,
    RoundList,
    RoundView,
    VersionList,
    VersionView,
)
from shared.waiting import WaitingList

B = TypeVar("B", bound=BaseModel)
_RESULT: TypeAdapter[Any] = TypeAdapter(AssignmentResult)
_PASSING = frozenset({"upload_busy", "wrong_offset"})  # an earlier request of ours still ends
_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 4.0)


class ApiError(Exception):
    """The API answered with a problem, or could not be reached (`problem.status` 0)."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__("; ".join(problem.errors) or problem.detail)


class ApiClient:
    """One principal's view of the API.

    Requests are repeated while the API cannot be reached or answers 503, for about `patience_s`
    seconds: all of them may be. Every method raises ApiError.
    """

    def __init__(self, url: str, key: str, patience_s: float = 8.0) -> None:
        self.url = url.rstrip("/")
        self._patience_s = patience_s
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=httpx.Timeout(30.0, connect=5.0),
            trust_env=False,
        )

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

    # operators

    def ready(self) -> bool:
        """Whether the API can serve: it, Postgres and Redis are there."""
        try:
            return self._http.get("/readyz").is_success
        except httpx.HTTPError:
            return False

    def submit(self, spec: JobSpec, idempotency_key: str) -> JobDetail:
        """Launch a job; the same key launches it once."""
        headers = {"Idempotency-Key": idempotency_key}
        return self._send(JobDetail, "POST", "/v1/jobs", body=spec, headers=headers)

    def jobs(self, cursor: str | None = None) -> JobList:
        """Jobs, newest first."""
        return self._send(JobList, "GET", "/v1/jobs", params={"cursor": cursor} if cursor else {})

    def job(self, job: UUID | str) -> JobDetail:
        """One job with its spec."""
        return self._send(JobDetail, "GET", f"/v1/jobs/{job}")

    def cancel(self, job: UUID | str) -> JobView:
        """Cancel a job."""
        return self._send(JobView, "POST", f"/v1/jobs/{job}/cancel")

    def pause(self, job: UUID | str) -> JobView:
        """Have a job begin nothing new."""
        return self._send(JobView, "POST", f"/v1/jobs/{job}/pause")

    def resume(self, job: UUID | str) -> JobView:
        """Have a paused job go on."""
        return self._send(JobView, "POST", f"/v1/jobs/{job}/resume")

    def fork(self, job: UUID | str, fork: JobFork, idempotency_key: str) -> JobDetail:
        """Launch a job that goes on from a version of this one; the same key launches it once."""
        headers = {"Idempotency-Key": idempotency_key}
        return self._send(JobDetail, "POST", f"/v1/jobs/{job}/fork", body=fork, headers=headers)

    def waiting(self, job: UUID | str) -> WaitingList:
        """Why a job, its round and its assignments wait."""
        return self._send(WaitingList, "GET", f"/v1/jobs/{job}/waiting")

    def rounds(self, job: UUID | str) -> RoundList:
        """All rounds of a job."""
        return self._send(RoundList, "GET", f"/v1/jobs/{job}/rounds")

    def round(self, job: UUID | str, number: int) -> RoundView:
        """One round of a job."""
        return self._send(RoundView, "GET", f"/v1/jobs/{job}/rounds/{number}")

    def versions(self, job: UUID | str) -> VersionList:
        """All versions of a job."""
        return self._send(VersionList, "GET", f"/v1/jobs/{job}/versions")

    def version(self, job: UUID | str, number: int) -> VersionView:
        """One version with its manifest."""
        return self._send(VersionView, "GET", f"/v1/jobs/{job}/versions/{number}")

    def report(self, job: UUID | str) -> ReportView:
        """What federation gave; once the job has ended."""
        return self._send(ReportView, "GET", f"/v1/jobs/{job}/report")

    def events(self, job: UUID | str, after: int = 0) -> EventList:
        """What happened to a job since event `after`."""
        return self._send(EventList, "GET", f"/v1/jobs/{job}/events", params={"after": after})

    def create_client(self, client: ClientCreate, idempotency_key: str) -> ClientCreated:
        """Register a client; its key is in the answer and nowhere else."""
        headers = {"Idempotency-Key": idempotency_key}
        return self._send(ClientCreated, "POST", "/v1/clients", body=client, headers=headers)

    def clients(self) -> ClientList:
        """All clients."""
        return self._send(ClientList, "GET", "/v1/clients")

    def client(self, client: str) -> ClientView:
        """One client."""
        return self._send(ClientView, "GET", f"/v1/clients/{client}")

    # workers

    def offer(self, client: str, offer: ClientOffer) -> ClientView:
        """Say what a client has."""
        return self._send(ClientView, "PUT", f"/v1/clients/{client}/offer", body=offer)

    def claim(self, held: HeldAssignment | None = None) -> Claim | None:
        """Claim the next assignment of the key's client or planner; None if there is none.

        The attempt that is still held comes again, if the lease is still the current one.
        """
        request = None if held is None else ClaimRequest(held=held)
        response = self._request("POST", "/v1/assignments:claim", body=request)
        return None if response.status_code == httpx.codes.NO_CONTENT else _read(Claim, response)

    def heartbeat(self, assignment: UUID, beat: Heartbeat) -> HeartbeatReply:
        """Keep a lease alive and hear what to do."""
        path = f"/v1/assignments/{assignment}/heartbeat"
        return self._send(HeartbeatReply, "POST", path, body=beat)

    def result(self, assignment: UUID, result: BaseModel) -> AssignmentView:
        """Report an assignment's result; repeating the same report is safe."""
        _RESULT.validate_python(result)
        return self._send(
            AssignmentView, "POST", f"/v1/assignments/{assignment}/result", body=result
        )

    def failure(self, assignment: UUID, failure: Failure) -> AssignmentView:
        """Report that an assignment could not be done."""
        return self._send(
            AssignmentView, "POST", f"/v1/assignments/{assignment}/failure", body=failure
        )

    def release(self, held: HeldAssignment) -> AssignmentView:
        """Give an assignment back undone; the attempt does not count."""
        path = f"/v1/assignments/{held.assignment_id}/release"
        lease = HeldLease(lease_id=held.lease_id, attempt=held.attempt)
        return self._send(AssignmentView, "POST", path, body=lease)

    def catalogue(self, assignment: UUID, catalogue: Catalogue) -> None:
        """Say what every component of the job is; the planner, before it uploads."""
        self._request("PUT", f"/v1/assignments/{assignment}/catalogue", body=catalogue)

    def announce(self, create: UploadCreate) -> UploadView:
        """Announce components' bytes; repeating it finds the same upload."""
        return self._send(UploadView, "POST", "/v1/uploads", body=create)

    def upload(self, view: UploadView, paths: Sequence[Path]) -> UploadView:
        """Send an announced upload's bytes, the files of its components in its order.

        Resumes where an earlier try ended.
        """
        if view.complete:
            return view

        def send() -> httpx.Response:
            now = self._send(UploadView, "GET", f"/v1/uploads/{view.id}")
            return self._patch(now, paths)

        return _read(UploadView, self._repeat(send))

    def download(
        self, sizes: Mapping[str, int], keep: Callable[[str, Iterator[bytes]], None]
    ) -> None:
        """Give the bytes of each artifact (sha256 -> its length) to `keep`, in one stream.

        After a break it goes on with the artifact that was under way.
        """
        missing = dict(sizes)

        def stream() -> httpx.Response:
            body = ArtifactBundle(sha256=tuple(missing)).model_dump_json().encode()
            headers = {"Content-Type": "application/json"}
            with self._http.stream(
                "POST", "/v1/artifacts:bundle", content=body, headers=headers
            ) as response:
                if not response.is_success:
                    response.read()
                    return response
                chunks = _Chunks(response.iter_bytes())
                for sha256, n_bytes in list(missing.items()):
                    keep(sha256, chunks.take(n_bytes))
                    del missing[sha256]
                return response

        if missing:
            self._repeat(stream)

    # how

    def _patch(self, view: UploadView, paths: Sequence[Path]) -> httpx.Response:
        headers = {
            "Upload-Offset": str(view.offset),
            "Content-Length": str(view.n_bytes - view.offset),
        }
        content = _chunks(paths, view.offset)
        return self._http.patch(f"/v1/uploads/{view.id}", content=content, headers=headers)

    def _send(self, kind: type[B], method: str, path: str, **options: Any) -> B:
        return _read(kind, self._request(method, path, **options))

    def _request(
        self,
        method: str,
        path: str,
        body: BaseModel | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        sent = dict(headers or {})
        content = None
        if body is not None:
            content = body.model_dump_json().encode()
            sent["Content-Type"] = "application/json"

        def call() -> httpx.Response:
            return self._http.request(method, path, content=content, params=params, headers=sent)

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
            except httpx.TransportError as error:
                problem = _unreachable(self.url, error)
            if time.monotonic() + pause > end:
                raise ApiError(problem)
            time.sleep(pause)
        raise AssertionError  # the pauses outlast any patience


def _chunks(paths: Iterable[Path], offset: int) -> Iterator[bytes]:
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


class _Chunks:
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


def _read(kind: type[B], response: httpx.Response) -> B:
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as error:
        detail = f"{response.request.url} answered with something else than a {kind.__name__}: "
        raise ApiError(
            _made_up(response.status_code, detail + "check the URL and versions")
        ) from error


def _problem(response: httpx.Response) -> Problem:
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:
        detail = f"{response.request.url} answered {response.status_code} without a reason"
        return _made_up(response.status_code, detail)


def _passes(problem: Problem) -> bool:
    """Whether the same request may succeed in a moment."""
    return problem.status == httpx.codes.SERVICE_UNAVAILABLE or problem.code in _PASSING


def _unreachable(url: str, error: httpx.TransportError) -> Problem:
    return _made_up(0, f"{url} cannot be reached ({error}): check that the API runs there")


def _made_up(status: int, detail: str) -> Problem:
    return Problem(
        type="urn:tapestry:problem:unreachable",
        title="No usable answer",
        status=status,
        code="unreachable",
        detail=detail,
    )
