"""Routes about what happened, as lists and as streams."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import StreamingResponse
from pydantic import StringConstraints
from sqlalchemy.orm import Session

from server.auth import Viewer
from server.context import App
from server.documentation import Responses, example, problems
from server.errors import invalid
from server.events import repository, streaming
from server.events.feed import Feed
from server.events.patience import LAST_EVENT, Known, Live
from server.events.repository import Wanted
from server.examples import EVENTS
from server.jobs.repository import get_job
from server.paging import SORT, Cursor
from server.partial import Fields
from shared.problem_codes import Code
from shared.views import EventList, EventOrder

router = APIRouter(prefix="/v1", tags=["events"])

Kind = Annotated[str, StringConstraints(pattern=r"^[a-z_]+(\.[a-z_]+)?$", max_length=100)]


@dataclass(frozen=True)
class _Asked:
    """From where on events are wanted, and in which form."""

    fields: Fields
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
    kind: Annotated[
        Sequence[Kind], Query(description="Of these kinds: `round.published`, or `round` for all.")
    ] = ()
    sort: Annotated[EventOrder, Query(description=f"{SORT} Of a list.")] = "id"
    cursor: Cursor = None
    limit: Annotated[int, Query(ge=1, le=1000, description="Most events in a list.")] = 500
    accept: Annotated[str, Header(description="`text/event-stream` for a stream.")] = "*/*"

    def of(self, job_id: UUID | None) -> Wanted:
        """Which events are wanted, of one job or of all."""
        known = next((n for n in (self.resumed, self.after) if n is not None), 0)
        return Wanted(job_id, self.kind, known)

    @property
    def streamed(self) -> bool:
        """Whether a stream is wanted. Raises ProblemError (422)."""
        if streaming.MEDIA_TYPE not in self.accept:
            return False
        if self.sort != "id" or self.cursor is not None:
            raise invalid(["sort: a stream goes forwards from `after`: leave sort and cursor out"])
        if self.fields:
            raise invalid(["fields: a stream has whole events: leave it out, or ask for a list"])
        return True

    def listed(self, session: Session, wanted: Wanted) -> EventList:
        """A page of them. Raises ProblemError (422)."""
        order = repository.sorted_by(self.sort)
        found = repository.listed(session, wanted, self.limit + 1, order.behind(self.cursor))
        page, following = order.cut(found, self.limit)
        return EventList(items=tuple(page), next=following)


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
    """List what happened to the job, behind the event `after`; or follow it.

    A stream's ids are those of the events: after a break it goes on behind `Last-Event-ID`.
    """
    wanted = asked.of(job_id)
    with app.sessions.begin() as session:
        get_job(session, job_id)
        if not asked.streamed:
            return asked.listed(session, wanted)
    return _streamed(feed, streaming.OfJob(app.sessions, feed, wanted))


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
    wanted = asked.of(None)
    if asked.streamed:
        return _streamed(feed, streaming.OfAll(app.sessions, feed, wanted))
    with app.sessions.begin() as session:
        return asked.listed(session, wanted)


def _streamed(feed: Feed, source: streaming.OfJob | streaming.OfAll) -> StreamingResponse:
    found = streaming.stream(feed, source)
    return StreamingResponse(found, media_type=streaming.MEDIA_TYPE, headers=streaming.HEADERS)
