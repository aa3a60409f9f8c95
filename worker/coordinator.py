"""The talk with the coordinator for one client (or the planner): lease, artifacts, report."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from shared import logs
from shared.api_client import ApiClient
from shared.artifacts import ArtifactError, ArtifactStore
from shared.messages import Catalogue, Claim, Heartbeat, UploadCreate, UploadWish
from shared.results import Traffic
from shared.transport import ApiError
from worker.decisions import beat_after, goes_on, is_gone
from worker.journal import held_by

log = logging.getLogger("tapestry.worker")

_UNPROCESSABLE = 422


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

    def pull(self) -> None:
        """Have all artifacts of the claim's manifest in the cache; fetches only what it lacks.

        Raises ApiError, WithdrawnError, and ArtifactError when bytes arrive damaged twice.
        """
        try:
            self._fetch()
        except ArtifactError as error:
            log.warning("fetching again: %s", error)
            self._fetch()
        self._cache.touch(self.claim.manifest.values())

    def _fetch(self) -> None:
        sizes = {sha: self.claim.sizes[name] for name, sha in self.claim.manifest.items()}
        missing = self._cache.missing(sizes)
        self._api.download({sha: sizes[sha] for sha in missing}, self._keep)

    def _keep(self, sha256: str, chunks: Iterator[bytes]) -> None:
        self._cache.write(self._while_wanted(chunks), sha256)
        self._bytes_down += self._cache.path(sha256).stat().st_size

    def _while_wanted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.check(self._progress)
            yield chunk

    def describe(self, catalogue: Catalogue) -> None:
        """Say what the components of the job are."""
        self._api.catalogue(held_by(self.claim), catalogue)

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
        try:
            return self._deliver(create, paths)
        except ApiError as error:
            if error.problem.status != _UNPROCESSABLE:
                raise
            log.warning("sending again, for the bytes may have been damaged on the way: %s", error)
            return self._deliver(create, paths)

    def _deliver(self, create: UploadCreate, paths: Mapping[str, Path]) -> int:
        view = self._api.announce(create)
        self._api.upload(view, [paths[name] for name in view.components])
        return view.n_bytes

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Heartbeats run until the block ends."""
        thread = logs.thread(self._beat, "heartbeat")
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    def _beat(self) -> None:
        lease = self.claim.lease
        while self._withdrawn is None and not self._done.wait(beat_after(lease.seconds)):
            beat = Heartbeat(lease_id=lease.id, attempt=lease.attempt, progress=self._progress)
            try:
                reply = self._api.heartbeat(self.claim.assignment_id, beat)
            except ApiError as error:
                if is_gone(error.problem.status):
                    self._withdrawn = f"the coordinator does not know it as ours ({error})"
                continue  # the coordinator is away: go on, the lease may be taken up again
            if not goes_on(reply.instruction):
                self._withdrawn = f"the coordinator says {reply.instruction}"
