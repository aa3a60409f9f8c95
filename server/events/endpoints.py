"""Routes about what happened, as lists and as streams."""

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import StreamingResponse

from server.auth import Viewer
from server.context import App
from server.documentation import Responses, example, problems
from server.events import repository, streaming
from server.events.feed import Feed
from server.events.patience import LAST_EVENT, Known, Live
from server.examples import EVENTS
from server.jobs.repository import get_job
from shared.problem_codes import Code
from shared.views import EventList

router = APIRouter(prefix="/v1", tags=["events"])


@dataclass(frozen=True)
class _Asked:
    """From where on events are wanted, and in which form."""

    after: Known = None
    resumed: Annotated[
        int | None,
        Header(
            alias="Last-Event-ID",
            ge=0,
            le=LAST_EVENT,
            description="Where a stream goes on; sent by browsers that come again.",
        ),
    ] = None
    limit: Annotated[int, Query(ge=1, le=1000, description="Most events in a list.")] = 500
    accept: Annotated[str, Header(description="`text/event-stream` for a stream.")] = "*/*"

    @property
    def known(self) -> int:
        """The last event that is known."""
        return next((n for n in (self.resumed, self.after) if n is not None), 0)

    @property
    def streamed(self) -> bool:
        """Whether a stream is wanted."""
        return streaming.MEDIA_TYPE in self.accept


Asked = Annotated[_Asked, Depends()]


def _answers(*codes: Code) -> Responses:
    """A list, or a stream of the same events."""
    found: dict[str, Any] = example(EVENTS, "Events in order, or as a stream that goes on.")[200]
    said = 'id: 17\ndata: {"id": 17, "kind": "round.open"}\n\n'
    streamed = {"schema": {"type": "string"}, "example": said}
    content = {**found["content"], streaming.MEDIA_TYPE: streamed}
    return {200: {**found, "content": content}, **problems(*codes)}


@router.get(
    "/jobs/{job_id}/events",
    summary="List or follow a job's events",
    response_model=EventList,
    responses=_answers(Code.NOT_FOUND),
)
def job_events(
    job_id: UUID, app: App, feed: Live, _: Viewer, asked: Asked
) -> EventList | StreamingResponse:
    """List what happened to the job, oldest first, behind the event `after`; or follow it.

    A stream's ids are those of the events: after a break it goes on behind `Last-Event-ID`.
    """
    with app.sessions.begin() as session:
        get_job(session, job_id)
        if not asked.streamed:
            found = repository.after(session, job_id, asked.known, asked.limit)
            return EventList(items=tuple(found))
    return _streamed(feed, streaming.OfJob(app.sessions, feed, job_id, asked.known))


@router.get(
    "/events",
    summary="List or follow all events",
    response_model=EventList,
    responses=_answers(),
)
def all_events(app: App, feed: Live, _: Viewer, asked: Asked) -> EventList | StreamingResponse:
    """List what happened to all jobs and clients, by the events' ids, behind `after`; or follow it.

    An event of one job may be seen after another job's with a greater id. A stream's ids say up to
    where it has brought all: who comes again hears those of the last seconds twice.
    """
    if asked.streamed:
        return _streamed(feed, streaming.OfAll(app.sessions, feed, asked.known))
    with app.sessions.begin() as session:
        found = repository.after(session, None, asked.known, asked.limit)
        return EventList(items=tuple(found))


def _streamed(feed: Feed, source: streaming.OfJob | streaming.OfAll) -> StreamingResponse:
    found = streaming.stream(feed, source)
    return StreamingResponse(found, media_type=streaming.MEDIA_TYPE, headers=streaming.HEADERS)
