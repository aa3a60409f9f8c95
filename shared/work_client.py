"""The part of the API's typed client by which workers and planners do their work."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from pydantic import BaseModel, TypeAdapter

from shared import tracing
from shared.claim_reading import read_claim
from shared.dry_run import DryRunClaim, DryRunDescription, DryRunFailure
from shared.messages import (
    LEASE_HEADER,
    ArtifactBundle,
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
from shared.results import AssignmentResult
from shared.transport import Stream, Transport, contents, read
from shared.views import AssignmentView, ClientView, Who

_RESULT: TypeAdapter[Any] = TypeAdapter(AssignmentResult)


class Work(Transport):
    """Offers, assignments and the bytes of components. Every method raises ApiError."""

    claimed_under: str | None = None  # the trace that the last claim's answer named

    def offer(self, client: str, offer: ClientOffer) -> ClientView:
        """Say what a client has."""
        return self._send(ClientView, "PUT", f"/v1/clients/{client}/offer", body=offer)

    def claim(
        self, held: HeldAssignment | None = None, lease_id: UUID | None = None
    ) -> Claim | None:
        """Claim the next assignment of the key's client or planner; None if there is none.

        The attempt that is still held comes again, if the lease is still the current one. A claim
        whose answer was lost is answered again under the same `lease_id`.
        Raises UnreadableClaimError where it is in the words of another version.
        """
        request = None if held is None else ClaimRequest(held=held)
        headers = {} if lease_id is None else {LEASE_HEADER: str(lease_id)}
        response = self._request("POST", "/v1/assignments:claim", body=request, headers=headers)
        self.claimed_under = response.headers.get(tracing.HEADER)
        return None if response.status_code == httpx.codes.NO_CONTENT else read_claim(response)

    def whoami(self) -> Who:
        """Whose key it is; the coordinator notes that a client lives."""
        return self._send(Who, "GET", "/v1/whoami")

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

    def catalogue(self, held: HeldAssignment, catalogue: Catalogue) -> None:
        """Say what every component of the job is; the planner, before it uploads."""
        path = f"/v1/assignments/{held.assignment_id}/catalogue"
        lease = {"lease_id": str(held.lease_id), "attempt": held.attempt}
        self._request("PUT", path, body=catalogue, params=lease)

    def claim_dry_run(self) -> DryRunClaim | None:
        """The next dry run for a planner to describe; None if there is none."""
        response = self._request("POST", "/v1/dry-runs:claim")
        nothing = response.status_code == httpx.codes.NO_CONTENT
        return None if nothing else read(DryRunClaim, response)

    def describe_dry_run(self, dry_run: UUID, found: DryRunDescription) -> None:
        """Say what the components of a dry run would be."""
        self._request("PUT", f"/v1/dry-runs/{dry_run}/description", body=found)

    def fail_dry_run(self, dry_run: UUID, reason: DryRunFailure) -> None:
        """Say why they cannot be made."""
        self._request("PUT", f"/v1/dry-runs/{dry_run}/failure", body=reason)

    def announce(self, create: UploadCreate) -> UploadView:
        """Announce components' bytes; repeating it finds the same upload."""
        return self._send(UploadView, "POST", "/v1/uploads", body=create)

    def upload(self, view: UploadView, paths: Sequence[Path]) -> UploadView:
        """Send an announced upload's bytes, the files of its components in its order.

        Resumes where an earlier try ended.
        """
        if view.complete:
            return view

        fresh = [view]

        def send() -> httpx.Response:
            now = fresh.pop() if fresh else self._send(UploadView, "GET", f"/v1/uploads/{view.id}")
            return self._patch(now, paths)

        return read(UploadView, self._repeat(send))

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
                chunks = Stream(response.iter_bytes())
                for sha256, n_bytes in list(missing.items()):
                    keep(sha256, chunks.take(n_bytes))
                    del missing[sha256]
                return response

        if missing:
            self._repeat(stream)

    def _patch(self, view: UploadView, paths: Sequence[Path]) -> httpx.Response:
        headers = {
            "Upload-Offset": str(view.offset),
            "Content-Length": str(view.n_bytes - view.offset),
        }
        content = contents(paths, view.offset)
        return self._http.patch(f"/v1/uploads/{view.id}", content=content, headers=headers)
