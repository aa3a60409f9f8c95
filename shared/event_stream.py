"""Events as the server sends them (text/event-stream), over breaks of the connection."""

import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

import httpx
from pydantic import ValidationError

from shared.transport import ApiError, first_problem, no_answer
from shared.views import EventView

MEDIA_TYPE = "text/event-stream"
_PAUSE_S = 1.0  # before a connection is made anew that brought nothing
Told = tuple[int, EventView]  # an event, behind the id up to which all have been told with it


class EventStream(Iterator[EventView]):
    """Each event once, as it comes; it never ends by itself. A context manager.

    After a break it goes on behind `known`. `next` raises ApiError where the API is away for longer
    than its client is patient, and may be called again then.
    """

    def __init__(
        self,
        connect: Callable[[int], httpx.Response],
        listed: Callable[[int], Iterator[Told]],
        known: int,
    ) -> None:
        """`connect` begins a stream behind an event, `listed` has what is there by now."""
        self.known = known  # all events up to here have been told
        self._connect, self._listed = connect, listed
        self._response: httpx.Response | None = None
        self._coming: Iterator[Told] = iter(())
        self._silent = True  # nothing has come by this connection
        self._told: set[int] = set()  # behind `known`

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
        """Close the connection."""
        if self._response is not None:
            self._response.close()
        self._response, self._coming = None, iter(())

    def __next__(self) -> EventView:
        while True:
            for known, event in self._coming:
                new = event.id not in self._told
                self._note(known, event)
                if new:
                    return event
            self._renew()

    def _note(self, known: int, event: EventView) -> None:
        self._told.add(event.id)
        if known > self.known:
            self.known = known
            self._told = {number for number in self._told if number > known}

    def _renew(self) -> None:
        """Begin the next connection; behind one that brought nothing, say what is listed first.

        So events are heard also where something between holds streams back.
        """
        again = self._response is not None and self._silent
        self.close()
        if again:
            time.sleep(_PAUSE_S)
            self._coming = self._listed(self.known)
            return
        self._response, self._silent = self._connect(self.known), True
        self._coming = self._arriving(self._response)

    def _arriving(self, response: httpx.Response) -> Iterator[Told]:
        """What a connection brings until it breaks or ends."""
        try:
            for found in events(response.iter_text(), str(response.url)):
                self._silent = False
                yield found
        except httpx.RequestError:
            return


def events(texts: Iterable[str], url: str) -> Iterator[Told]:
    """The stream's events, each with the id to go on behind. Raises ApiError for something else."""
    known, data = 0, list[str]()
    for line in _lines(texts):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        try:
            if name == "id":
                known = int(value)
            elif name == "data":
                data.append(value)
            elif not line and data:
                yield known, EventView.model_validate_json("\n".join(data))
                data.clear()
        except ValidationError as error:
            raise _no_event(url, first_problem(error)) from error
        except ValueError as error:
            raise _no_event(url, str(error)) from error


def _lines(texts: Iterable[str]) -> Iterator[str]:
    """The lines that are whole: a text of an event may hold what only looks like a line's end."""
    rest = ""
    for text in texts:
        *lines, rest = (rest + text).split("\n")
        yield from (line.removesuffix("\r") for line in lines)


def _no_event(url: str, why: str) -> ApiError:
    return ApiError(no_answer(200, f"{url} sends no events ({why}): check the URL and versions"))
