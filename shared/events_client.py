"""The part of the API's typed client that hears what happens: by asking, waiting and listening."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import httpx
from pydantic import BaseModel

from shared.event_stream import MEDIA_TYPE, EventStream, Told
from shared.messages import AssignmentKind
from shared.states import RoundState
from shared.timeline import Timeline, TimelineBar
from shared.transport import ANSWER_S, ApiError, Transport, no_answer
from shared.views import (
    EventList,
    EventView,
    JobDetail,
    NumberOrder,
    RoundDetail,
    RoundList,
    RoundOrder,
    RoundView,
)

B = TypeVar("B", bound=BaseModel)
_ROUNDS, _EVENTS = 200, 1000  # in one answer
_COMMITTED_WITHIN = timedelta(minutes=1)  # of an event's time; the server ends what lasts longer


class Events(Transport):
    """What happens to jobs. Every method raises ApiError.

    Those with `after` and `wait_s` answer once something has happened to the job behind that event,
    or when so much time has passed, 60 s at most; `last_event` of an answer is the next `after`.
    """

    def job(self, job: UUID | str, after: int | None = None, wait_s: float = 0.0) -> JobDetail:
        """One job with its spec."""
        return self._awaited(JobDetail, f"/v1/jobs/{job}", after, wait_s)

    def rounds(
        self,
        job: UUID | str,
        phase: AssignmentKind = AssignmentKind.TRAIN,
        states: Sequence[RoundState] = (),
        after_round: int | None = None,
        client: str | None = None,
        order: NumberOrder = "number",
    ) -> list[RoundView]:
        """All rounds of a job, of training or another phase: in these states, that asked a client.

        Only those after round `after_round`; planning is round 0.
        """
        asked = {
            "phase": phase,
            "state": list(states),
            "after_round": after_round,
            "client": client,
            "sort": order,
        }
        return list(self._pages(RoundList, f"/v1/jobs/{job}/rounds", asked, _ROUNDS))

    def await_rounds(
        self,
        job: UUID | str,
        after: int | None = None,
        wait_s: float = 0.0,
        phase: AssignmentKind = AssignmentKind.TRAIN,
    ) -> RoundList:
        """All rounds of a phase, with the event behind which to wait for the next answer."""
        path, asked = f"/v1/jobs/{job}/rounds", {"limit": _ROUNDS, "phase": phase}
        first = page = self._awaited(RoundList, path, after, wait_s, asked)
        items = [*first.items]
        while page.next is not None:
            page = self._send(RoundList, "GET", path, params={**asked, "cursor": page.next})
            items += page.items
        return RoundList(items=tuple(items), last_event=first.last_event)

    def round(
        self,
        job: UUID | str,
        number: int,
        after: int | None = None,
        wait_s: float = 0.0,
        phase: AssignmentKind = AssignmentKind.TRAIN,
    ) -> RoundDetail:
        """One round of a job: of training, or of another phase."""
        path = f"/v1/jobs/{job}/rounds/{number}"
        return self._awaited(RoundDetail, path, after, wait_s, {"phase": phase})

    def timeline(
        self,
        job: UUID | str,
        after_round: int | None = None,
        client: str | None = None,
        order: RoundOrder = "round",
    ) -> Iterator[TimelineBar]:
        """When each client, or that one, worked in each round after that one, by attempts."""
        asked = {"after_round": after_round, "client": client, "sort": order}
        return self._pages(Timeline, f"/v1/jobs/{job}/timeline", asked, _ROUNDS)

    def events(
        self, job: UUID | str, after: int = 0, kinds: Sequence[str] = ()
    ) -> Iterator[EventView]:
        """What happened to a job since event `after`: `round.published`, or all of `round`."""
        asked = {"after": after, "kind": list(kinds)}
        return self._pages(EventList, f"/v1/jobs/{job}/events", asked, _EVENTS)

    def all_events(self, after: int = 0, kinds: Sequence[str] = ()) -> Iterator[EventView]:
        """What happened to all jobs and clients since event `after`."""
        return self._pages(EventList, "/v1/events", {"after": after, "kind": list(kinds)}, _EVENTS)

    def follow(self, job: UUID | str, after: int = 0) -> EventStream:
        """The same of one job as it happens, from event `after` on."""
        return self._stream(f"/v1/jobs/{job}/events", after, in_order=True)

    def follow_all(self, after: int = 0) -> EventStream:
        """The same of all jobs and clients."""
        return self._stream("/v1/events", after, in_order=False)

    def _awaited(
        self,
        kind: type[B],
        path: str,
        after: int | None,
        wait_s: float,
        asked: Mapping[str, Any] | None = None,
    ) -> B:
        waiting = {"wait": wait_s or None, "after": after}
        params = {name: value for name, value in waiting.items() if value is not None}
        timeout = ANSWER_S + wait_s
        return self._send(kind, "GET", path, params={**(asked or {}), **params}, timeout=timeout)

    def _stream(self, path: str, after: int, *, in_order: bool) -> EventStream:
        """A stream; out of order, only itself says up to where one has had all."""

        def connect(known: int) -> httpx.Response:
            headers = {"Accept": MEDIA_TYPE, "Last-Event-ID": str(known)}

            def begin() -> httpx.Response:
                request = self._http.build_request("GET", path, headers=headers)
                response = self._http.send(request, stream=True)
                if not response.is_success:
                    response.read()
                return response

            return _checked(self._repeat(begin))

        def listed(known: int) -> Iterator[Told]:
            found = self._pages(EventList, path, {"after": known}, _EVENTS)
            return ((event.id, event) for event in found) if in_order else _settling(found, known)

        return EventStream(connect, listed, after)


def _settling(found: Iterable[EventView], known: int) -> Iterator[Told]:
    """Events by their ids, each with one up to which none comes that is committed late."""
    young = deque[EventView]()
    for event in found:
        young.append(event)
        while event.at - young[0].at > _COMMITTED_WITHIN:
            known = young.popleft().id
        yield known, event


def _checked(response: httpx.Response) -> httpx.Response:
    """The answer, if it is a stream. Raises ApiError."""
    if response.headers.get("Content-Type", "").startswith(MEDIA_TYPE):
        return response
    response.close()
    said = f"{response.url} answered with something else than events: check the URL and versions"
    raise ApiError(no_answer(response.status_code, said))
