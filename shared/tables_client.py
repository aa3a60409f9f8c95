"""The part of the API's typed client that reads a job's tables."""

from collections.abc import Callable, Iterator
from uuid import UUID

import httpx

from shared.job_tables import (
    ComponentOrder,
    ComponentRow,
    ComponentTable,
    ContributionRow,
    ContributionTable,
    DecisionRow,
    DecisionTable,
    LossRow,
    LossTable,
    PhaseOrder,
    ScoreOrder,
    ScoreRow,
    ScoreTable,
    TrafficRow,
    TrafficTable,
    VersionOrder,
)
from shared.transport import Transport
from shared.views import RoundOrder

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
        order: RoundOrder = "round",
    ) -> Iterator[LossRow]:
        """Training losses by round, client and task."""
        asked = {"client": client, "task": task, "after_round": after_round, "sort": order}
        return self._pages(LossTable, f"/v1/jobs/{job}/losses", asked, _ROWS)

    def replacements(
        self,
        job: UUID | str,
        client: str | None = None,
        task: str | None = None,
        after_round: int = 0,
        order: RoundOrder = "round",
    ) -> Iterator[DecisionRow]:
        """Stage one's decisions by round, client and task."""
        asked = {"client": client, "task": task, "after_round": after_round, "sort": order}
        return self._pages(DecisionTable, f"/v1/jobs/{job}/replacements", asked, _ROWS)

    def contributions(
        self,
        job: UUID | str,
        client: str | None = None,
        component: str | None = None,
        after_version: int = 0,
        order: VersionOrder = "version",
    ) -> Iterator[ContributionRow]:
        """Who contributed what, by version, component and client."""
        asked = {
            "client": client,
            "component": component,
            "after_version": after_version,
            "sort": order,
        }
        return self._pages(ContributionTable, f"/v1/jobs/{job}/contributions", asked, _ROWS)

    def components(
        self, job: UUID | str, client: str | None = None, order: ComponentOrder = "component"
    ) -> Iterator[ComponentRow]:
        """The components of the newest version, or those that a client uses, by name."""
        asked = {"client": client, "sort": order}
        return self._pages(ComponentTable, f"/v1/jobs/{job}/components", asked, _ROWS)

    def traffic(
        self, job: UUID | str, after_round: int = 0, order: PhaseOrder = "phase"
    ) -> Iterator[TrafficRow]:
        """What each round of clients moved, by phase and round."""
        asked = {"after_round": after_round, "sort": order}
        return self._pages(TrafficTable, f"/v1/jobs/{job}/traffic", asked, _ROWS)

    def scores(
        self,
        job: UUID | str,
        client: str | None = None,
        task: str | None = None,
        order: ScoreOrder = "client",
    ) -> Iterator[ScoreRow]:
        """What evaluations measured, by client, task, variant and metric."""
        asked = {"client": client, "task": task, "sort": order}
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
