"""Which jobs a list shows, and in which order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query

from server.jobs.repository import Wanted
from server.paging import SORT, Column, Order, moments, text
from server.tables import Job
from shared.spec import Name
from shared.states import JobState
from shared.views import JobOrder

_ID = Column[Job](Job.id, lambda row: str(row.id), UUID)
_COLUMNS: Mapping[str, Column[Job]] = {
    "created_at": moments(Job.created_at, lambda row: row.created_at),
    "updated_at": moments(Job.updated_at, lambda row: row.updated_at),
    "name": Column(Job.name, lambda row: row.name, text),
}


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
    sort: Annotated[JobOrder, Query(description=SORT)] = "-created_at"

    def behind(self, cursor: str | None) -> Wanted:
        """The same behind a page's end. Raises ProblemError (422)."""
        return Wanted(self._order.behind(cursor), self.state, self.name, self.client)

    def cut(self, rows: Sequence[Job], limit: int) -> tuple[Sequence[Job], str | None]:
        """A page of those rows, and the next one's cursor."""
        return self._order.cut(rows, limit)

    @property
    def _order(self) -> Order[Job]:
        return Order("jobs", self.sort, _COLUMNS[self.sort.removeprefix("-")], _ID)


Filter = Annotated[_Filter, Depends()]
