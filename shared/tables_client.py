"""The part of the API's typed client that reads a job's tables."""

from collections.abc import Callable, Iterator
from uuid import UUID

import httpx

from shared.job_tables import (
    ComponentRow,
    ComponentTable,
    ContributionRow,
    ContributionTable,
    DecisionRow,
    DecisionTable,
    LossRow,
    LossTable,
    ScoreRow,
    ScoreTable,
    TrafficRow,
    TrafficTable,
)
from shared.transport import Transport

_ROWS = 5000  # in one answer


class JobTables(Transport):
    """What a job has come to so far, row by row: each page is asked for when it is needed.

    Every method raises ApiError.
    """

    def losses(
        self,
        job: UUID | str,
        client: str | None = None,
        task: str | None = None,
        after_round: int = 0,
    ) -> Iterator[LossRow]:
        """Training losses by round, client and task."""
        asked = {"client": client, "task": task, "after_round": after_round}
        return self._pages(LossTable, f"/v1/jobs/{job}/losses", asked, _ROWS)

    def replacements(
        self,
        job: UUID | str,
        client: str | None = None,
        task: str | None = None,
        after_round: int = 0,
    ) -> Iterator[DecisionRow]:
        """Stage one's decisions by round, client and task."""
        asked = {"client": client, "task": task, "after_round": after_round}
        return self._pages(DecisionTable, f"/v1/jobs/{job}/replacements", asked, _ROWS)

    def contributions(
        self,
        job: UUID | str,
        client: str | None = None,
        component: str | None = None,
        after_version: int = 0,
    ) -> Iterator[ContributionRow]:
        """Who contributed what, by version, component and client."""
        asked = {"client": client, "component": component, "after_version": after_version}
        return self._pages(ContributionTable, f"/v1/jobs/{job}/contributions", asked, _ROWS)

    def components(self, job: UUID | str) -> Iterator[ComponentRow]:
        """The components of the newest version, by name."""
        return self._pages(ComponentTable, f"/v1/jobs/{job}/components", limit=_ROWS)

    def traffic(self, job: UUID | str, after_round: int = 0) -> Iterator[TrafficRow]:
        """What each round of clients moved, oldest first."""
        asked = {"after_round": after_round}
        return self._pages(TrafficTable, f"/v1/jobs/{job}/traffic", asked, _ROWS)

    def scores(
        self, job: UUID | str, client: str | None = None, task: str | None = None
    ) -> Iterator[ScoreRow]:
        """What evaluations measured, by client, task, variant and metric."""
        asked = {"client": client, "task": task}
        return self._pages(ScoreTable, f"/v1/jobs/{job}/scores", asked, _ROWS)

    def table_csv(
        self, job: UUID | str, table: str, keep: Callable[[Iterator[bytes]], None]
    ) -> None:
        """Give a table, one of `shared.job_tables.TABLES`, to `keep` as CSV.

        After a break `keep` is called again with the whole.
        """

        def stream() -> httpx.Response:
            path, asked = f"/v1/jobs/{job}/{table}", {"format": "csv"}
            with self._http.stream("GET", path, params=asked) as response:
                if response.is_success:
                    keep(response.iter_bytes())
                else:
                    response.read()
                return response

        self._repeat(stream)
