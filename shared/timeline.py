"""When each client worked in each round. JSON on the wire."""

from datetime import datetime

from pydantic import Field

from shared.messages import Message
from shared.spec import Name
from shared.states import AssignmentState
from shared.views import Next


class TimelineBar(Message):
    """One attempt of one client."""

    round: int
    client: Name
    attempt: int
    claimed_at: datetime
    ended_at: datetime | None = Field(description="Absent while it is worked on.")
    end: AssignmentState | None = Field(
        description="What its assignment became then: accepted, queued for another attempt, ..."
    )


class Timeline(Message):
    """The attempts of a page of rounds, by round and in the order of their claims."""

    items: tuple[TimelineBar, ...]
    next: Next = None
