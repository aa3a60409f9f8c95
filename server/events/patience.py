"""Answers that wait: a route with `PATIENCE` can be asked to answer when something has happened."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request

from server.auth import Viewer
from server.events.feed import Feed

LAST_EVENT = 2**63 - 1
_LONGEST_WAIT_S = 60


async def _of_app(request: Request) -> Feed:
    feed = request.app.state.feed
    assert isinstance(feed, Feed)  # noqa: S101  # create_app sets it
    return feed


Live = Annotated[Feed, Depends(_of_app)]
Known = Annotated[
    int | None,
    Query(ge=0, le=LAST_EVENT, description="The last event that is known."),
]


async def _patience(
    job_id: UUID,
    feed: Live,
    _: Viewer,
    wait: Annotated[
        float,
        Query(
            ge=0,
            le=_LONGEST_WAIT_S,
            description="Seconds to wait for an event of the job behind `after`, or for its next "
            "one, before answering.",
        ),
    ] = 0,
    after: Known = None,
) -> None:
    if wait:
        await feed.behind(job_id, after, wait)


PATIENCE = Depends(_patience)
