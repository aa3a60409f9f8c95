"""Who waits for events hears of them: one question to Postgres for all that wait in this process.

Events of a job are committed in the order of their ids, those of several jobs are not: an event may
come to be seen after one with a greater id. So the feed remembers an id up to which all are there.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from uuid import UUID

from starlette.concurrency import run_in_threadpool

from server.database import Sessions, glance
from server.errors import DATABASE_AWAY
from server.events import repository

_log = logging.getLogger(__name__)
_EVERY_S = 0.2
# Longer than a transaction lasts: who waits has read for itself what was there before.
_BEFORE_IT_BEGAN = timedelta(minutes=1)


class Feed:
    """One per process; it asks while somebody waits."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._newest: dict[UUID | None, int] = {}
        self._settled = 0
        self._waiting = 0
        self._turn = asyncio.Condition()
        self._asking: asyncio.Task[None] | None = None

    @property
    def listeners(self) -> int:
        """How many wait for events, or hear them."""
        return self._waiting

    @property
    def settled(self) -> int:
        """An id up to which all events are there."""
        return self._settled

    async def turned(self, wait_s: float) -> None:
        """Wait until Postgres has been asked once more, but not longer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s), self._turn:
                await self._turn.wait()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Have Postgres asked until the block ends."""
        self._waiting += 1
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        try:
            yield
        finally:
            self._waiting -= 1

    async def behind(self, job_id: UUID, known: int | None, wait_s: float) -> None:
        """Wait until the job has an event behind `known`, by default its newest, but not longer.

        Returns at once for a job that is not there, for each has an event.
        """
        clock = asyncio.get_running_loop().time
        end = clock() + wait_s
        newest = await self._last(job_id)
        known = newest if known is None else known
        if not newest or newest > known:
            return
        async with self.watching():
            while self.news_of(job_id) <= known and (left := end - clock()) > 0:
                await self.turned(left)

    def news_of(self, job_id: UUID | None) -> int:
        """The newest event of the job when Postgres was asked last."""
        return self._newest.get(job_id, 0)

    async def _last(self, job_id: UUID) -> int:
        def ask() -> int:
            with glance(self._sessions) as session:
                return repository.last(session, job_id)

        return await run_in_threadpool(ask)

    async def _ask(self) -> None:
        while self._waiting:
            try:
                self._newest |= await run_in_threadpool(self._look)
            except DATABASE_AWAY:
                pass  # who waits goes on waiting
            except Exception:  # noqa: BLE001 - else all who wait would hear nothing more
                _log.exception("the feed could not ask for events; it goes on")
            else:
                async with self._turn:
                    self._turn.notify_all()
            await asyncio.sleep(_EVERY_S)
        self._asking = None

    def _look(self) -> dict[UUID | None, int]:
        """Each event is found before its id is settled: first all there are, then what is new."""
        with glance(self._sessions) as session:
            begun = repository.begun(session)
            if not self._settled:  # else the first look would be at all that ever happened
                self._settled = repository.settled(session, begun - _BEFORE_IT_BEGAN, 0)
            found = repository.newest(session, self._settled)
            self._settled = repository.settled(session, begun, self._settled)
            return found
