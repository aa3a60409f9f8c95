"""The talk with the coordinator for one client (or the planner): lease, artifacts, report."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from shared.api_client import ApiClient
from shared.artifacts import ArtifactStore
from shared.messages import (
    Catalogue,
    Claim,
    ComponentSpec,
    Heartbeat,
    Traffic,
    UploadCreate,
    UploadWish,
)
from shared.tensor_file import component_layout
from shared.transport import ApiError
from worker.decisions import beat_after, goes_on, is_gone


class WithdrawnError(Exception):
    """The assignment is no longer ours: cancelled, taken over, or this worker is to stop."""


class Hold:
    """A held assignment: its lease is renewed in the background while work goes on.

    Counts what it fetches. `check` raises WithdrawnError as soon as the work is in vain.
    """

    def __init__(
        self, api: ApiClient, claim: Claim, cache: ArtifactStore, stopping: threading.Event
    ) -> None:
        self.claim = claim
        self._api = api
        self._cache = cache
        self._stopping = stopping
        self._done = threading.Event()
        self._progress = 0.0
        self._withdrawn: str | None = None
        self._started = time.monotonic()
        self._bytes_down = 0

    @property
    def traffic(self) -> Traffic:
        """What was fetched so far, and how long all took."""
        seconds = time.monotonic() - self._started
        return Traffic(bytes_down=self._bytes_down, seconds=seconds)

    def check(self, progress: float) -> None:
        """Note the progress (0 to 1). Raises WithdrawnError when there is no reason to go on."""
        self._progress = progress
        if self._stopping.is_set():
            raise WithdrawnError("this worker stops")
        if self._withdrawn:
            raise WithdrawnError(self._withdrawn)

    def pull(
        self, manifest: Mapping[str, str], specs: Mapping[str, ComponentSpec]
    ) -> dict[str, Path]:
        """Files of the components of a manifest; fetches only what the cache lacks."""
        sizes = {sha: component_layout(specs[name]).n_bytes for name, sha in manifest.items()}
        missing = self._cache.missing(sizes)
        self._api.download({sha: sizes[sha] for sha in missing}, self._keep)
        return {name: self._cache.open_path(sha) for name, sha in manifest.items()}

    def _keep(self, sha256: str, chunks: Iterator[bytes]) -> None:
        self._cache.write(chunks, sha256)
        self._bytes_down += self._cache.path(sha256).stat().st_size

    def describe(self, catalogue: Catalogue) -> None:
        """Say what the components of the job are."""
        self._api.catalogue(self.claim.assignment_id, catalogue)

    def push(self, components: Mapping[str, str]) -> int:
        """Upload the named artifacts of the cache as components of this assignment.

        Returns their bytes, whether they are sent now or were before an interruption.
        """
        if not components:
            return 0
        paths = {name: self._cache.open_path(sha) for name, sha in components.items()}
        wishes = {
            name: UploadWish(sha256=components[name], n_bytes=path.stat().st_size)
            for name, path in paths.items()
        }
        lease = self.claim.lease
        create = UploadCreate(
            assignment_id=self.claim.assignment_id,
            lease_id=lease.id,
            attempt=lease.attempt,
            components=wishes,
        )
        view = self._api.announce(create)
        self._api.upload(view, [paths[name] for name in view.components])
        return view.n_bytes

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Heartbeats run until the block ends."""
        thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    def _beat(self) -> None:
        lease = self.claim.lease
        while not self._done.wait(beat_after(lease.seconds)):
            beat = Heartbeat(lease_id=lease.id, attempt=lease.attempt, progress=self._progress)
            try:
                reply = self._api.heartbeat(self.claim.assignment_id, beat)
            except ApiError as error:
                if is_gone(error.problem.status):
                    self._withdrawn = str(error)
                continue  # the coordinator is away: go on, the lease may be taken up again
            if not goes_on(reply.instruction):
                self._withdrawn = f"the coordinator says {reply.instruction}"
