"""Which jobs a list shows, and in which order."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query

from server.jobs.repository import Wanted
from server.paging import Place, place_of, text
from server.tables import Job
from shared.spec import Name
from shared.states import JobState
from shared.views import JobOrder


@dataclass(frozen=True)
class _Filter:
    """What was asked for."""

    state: Annotated[
        Sequence[JobState], Query(description="In one of these states; may be given several times.")
    ] = ()
    name: Annotated[
        str | None, Query(min_length=1, max_length=200, description="With this in their name.")
    ] = None
    client: Annotated[Name | None, Query(description="In which this client takes part.")] = None
    order: Annotated[
        JobOrder, Query(alias="sort", description="By what, with a minus from the greatest on.")
    ] = "-created_at"

    def behind(self, cursor: str | None) -> Wanted:
        """The same behind a page's end. Raises ProblemError (422)."""
        value = text if self.order.endswith("name") else datetime.fromisoformat
        place = place_of(cursor, self.order, value, UUID)
        return Wanted(self.order, place, self.state, self.name, self.client)

    def place(self, row: Job) -> Place:
        """Where a page ends with that job."""
        value: datetime | str = getattr(row, self.order.removeprefix("-"))
        return value if isinstance(value, str) else value.isoformat(), str(row.id)


Filter = Annotated[_Filter, Depends()]
