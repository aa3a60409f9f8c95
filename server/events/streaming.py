"""Events as a stream of the server (text/event-stream) that a reader can resume."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Protocol

from starlette.concurrency import run_in_threadpool

from server.database import Sessions, glance
from server.errors import DATABASE_AWAY
from server.events import repository
from server.events.feed import Feed
from server.events.repository import Wanted
from shared.views import EventView

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
LASTS_S = 600.0  # then the reader comes again, with a key that is looked at anew
ALIVE_S = 10.0
_AT_ONCE = 500
_OPENING = "retry: 1000\n\n"
_ALIVE = ": alive\n\n"


class _Source(Protocol):
    """Where a stream's events come from."""

    def more(self) -> list[tuple[int, EventView]]:
        """The next ones, each with the id to resume from; blocks while Postgres is asked."""

    def has_more(self) -> bool:
        """Whether the feed has heard of any, or they have to be looked for."""


class OfJob:
    """The events of one job, in the order of their ids."""

    def __init__(self, sessions: Sessions, feed: Feed, wanted: Wanted) -> None:
        self._sessions, self._feed, self._wanted = sessions, feed, wanted

    def more(self) -> list[tuple[int, EventView]]:
        """The next ones."""
        with glance(self._sessions) as session:
            found = repository.listed(session, self._wanted, _AT_ONCE)
        if found:
            self._wanted = replace(self._wanted, known=found[-1].id)
        return [(event.id, event) for event in found]

    def has_more(self) -> bool:
        """Whether there are any that the feed has heard of."""
        return self._feed.news_of(self._wanted.job_id) > self._wanted.known


class OfAll:
    """The events of all jobs as they come to be seen.

    One may come behind another with a greater id. What a reader resumes from is an id up to which
    it has had them all: it hears those of the last seconds again.
    """

    def __init__(self, sessions: Sessions, feed: Feed, wanted: Wanted) -> None:
        self._sessions, self._feed, self._wanted = sessions, feed, wanted
        self._known, self._sent = wanted.known, set[int]()

    def more(self) -> list[tuple[int, EventView]]:
        """The next ones."""
        settled, before = self._feed.settled, self._known
        with glance(self._sessions) as session:
            wanted = replace(self._wanted, known=self._known, without=self._sent)
            found = repository.listed(session, wanted, _AT_ONCE)
        self._sent |= {event.id for event in found}
        all_sent = len(found) < _AT_ONCE
        self._known = max(self._known, settled if all_sent else min(settled, found[-1].id))
        self._sent = {number for number in self._sent if number > self._known}
        resumes = [*([before] * (len(found) - 1)), self._known]  # a reader may break off in between
        return list(zip(resumes, found, strict=False))

    def has_more(self) -> bool:
        """Nobody knows: one of a smaller id may have come."""
        return True


async def stream(feed: Feed, source: _Source) -> AsyncIterator[str]:
    """The source's events as they come, and a sign of life where none does."""
    clock = asyncio.get_running_loop().time
    spoke = clock()
    end = spoke + LASTS_S
    yield _OPENING
    async with feed.watching():
        found = await _more(source)
        while clock() < end:
            for resume, event in found or ():
                yield f"id: {resume}\ndata: {event.model_dump_json()}\n\n"
            if found:
                spoke = clock()
            elif clock() - spoke >= ALIVE_S:
                spoke = clock()
                yield _ALIVE
            if found is None or len(found) < _AT_ONCE:
                await feed.turned(ALIVE_S)
            if found is None or found or source.has_more():
                found = await _more(source)


async def _more(source: _Source) -> list[tuple[int, EventView]] | None:
    """The next events; None while Postgres is away."""
    try:
        return await run_in_threadpool(source.more)
    except DATABASE_AWAY:
        return None
