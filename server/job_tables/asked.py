"""Which rows of a job's tables are wanted, and in which form."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends, Header, Query

from server.paging import SORT, Cursor
from server.partial import Fields, check_names
from shared.job_tables import ComponentOrder, PhaseOrder, ScoreOrder, VersionOrder
from shared.messages import ComponentName
from shared.spec import Name
from shared.views import RoundOrder

CSV = "text/csv"
MOST_ROWS = 5000
_NEWEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows, and how they go: with these values, None for any, behind a round or version."""

    client: str | None = None
    task: str | None = None
    component: str | None = None
    after_round: int = 0
    after_version: int = 0
    sort: str = ""

    @property
    def falls(self) -> bool:
        """Whether they go from the table's end on."""
        return self.sort.startswith("-")

    @property
    def conditions(self) -> Iterator[tuple[str, str]]:
        """Columns, and what they must be."""
        for column in ("client", "task", "component"):
            value = getattr(self, column)
            if value is not None:
                yield column, value

    @property
    def above(self) -> Iterator[tuple[str, int]]:
        """Columns, and what they must be above."""
        if self.after_round:
            yield "round", self.after_round
        if self.after_version:
            yield "version", self.after_version


@dataclass(frozen=True)
class _Form:
    """How the rows are wanted."""

    fields: Fields
    cursor: Cursor = None
    limit: Annotated[
        int, Query(ge=1, le=MOST_ROWS, description="Most rows in a page of JSON; CSV comes whole.")
    ] = 1000
    format: Annotated[
        Literal["json", "csv"] | None, Query(description="Goes before what is accepted.")
    ] = None
    accept: Annotated[str, Header(description="`text/csv` for CSV.")] = "*/*"

    @property
    def is_csv(self) -> bool:
        """Whether CSV is wanted."""
        return self.format == "csv" or (self.format is None and CSV in self.accept)

    def kept(self, columns: Sequence[str]) -> Sequence[str]:
        """Those of a table's columns that are wanted. Raises ProblemError (422)."""
        check_names(self.fields, columns, "field")
        return [each for each in columns if each in self.fields] if self.fields else columns


Client = Annotated[Name | None, Query(description="Of this client.")]
Task = Annotated[Name | None, Query(description="Of this task.")]
Component = Annotated[ComponentName | None, Query(description="Of this component.")]
_Number = Query(ge=0, le=_NEWEST)
_Sort = Query(description=SORT)


def _of_rounds(
    client: Client = None,
    task: Task = None,
    after_round: Annotated[int, _Number, Query(description="Of later rounds only.")] = 0,
    sort: Annotated[RoundOrder, _Sort] = "round",
) -> Wanted:
    return Wanted(client=client, task=task, after_round=after_round, sort=sort)


def _of_tasks(
    client: Client = None, task: Task = None, sort: Annotated[ScoreOrder, _Sort] = "client"
) -> Wanted:
    return Wanted(client=client, task=task, sort=sort)


def _of_versions(
    client: Client = None,
    component: Component = None,
    after_version: Annotated[int, _Number, Query(description="Of later versions only.")] = 0,
    sort: Annotated[VersionOrder, _Sort] = "version",
) -> Wanted:
    return Wanted(client=client, component=component, after_version=after_version, sort=sort)


def _of_components(
    client: Annotated[Name | None, Query(description="That this client uses.")] = None,
    sort: Annotated[ComponentOrder, _Sort] = "component",
) -> Wanted:
    return Wanted(client=client, sort=sort)


def _later(
    after_round: Annotated[int, _Number, Query(description="Later rounds only.")] = 0,
    sort: Annotated[
        PhaseOrder,
        Query(description=f"{SORT} Phases in their turn in a job, each by its rounds."),
    ] = "phase",
) -> Wanted:
    return Wanted(after_round=after_round, sort=sort)


Form = Annotated[_Form, Depends()]
OfRounds = Annotated[Wanted, Depends(_of_rounds)]
OfTasks = Annotated[Wanted, Depends(_of_tasks)]
OfVersions = Annotated[Wanted, Depends(_of_versions)]
OfComponents = Annotated[Wanted, Depends(_of_components)]
Later = Annotated[Wanted, Depends(_later)]
