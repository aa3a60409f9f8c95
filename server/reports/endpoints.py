"""The routes of a job's report, of who came to its rounds, and of what a client takes away."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from server.auth import ClientOnly, Viewer
from server.context import App
from server.documentation import example, problems
from server.examples import ATTENDANCE, BENEFITS, REPORT, TAKEAWAY
from server.jobs.repository import get_job
from server.paging import SORT, AfterRound, Cursor, Limit
from server.reports import service
from server.reports.attendance import Wanted, attendance, client_rounds, sorted_by
from server.reports.benefits import benefits_view, beside
from server.reports.takeaway import takeaway
from shared.attendance import AttendanceList
from shared.problem_codes import Code
from shared.reports import BenefitsView, ReportView
from shared.spec import Name
from shared.takeaway import TakeawayView
from shared.views import RoundOrder

Alone = Annotated[UUID | None, Query(description="The job in which each client trained alone.")]
Averaged = Annotated[UUID | None, Query(description="The job by FedAvg.")]


@dataclass(frozen=True)
class _Asked:
    """Which rounds are wanted, and in which order."""

    after_round: AfterRound = None
    client: Annotated[Name | None, Query(description="Rounds that asked this client only.")] = None
    sort: Annotated[RoundOrder, Query(description=SORT)] = "round"

    @property
    def wanted(self) -> Wanted:
        """The same for a query."""
        return Wanted(self.after_round, self.client)


Asked = Annotated[_Asked, Depends()]

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["reports"])


@router.get(
    "/report",
    summary="Read a job's report",
    responses={**example(REPORT, "The report."), **problems(Code.NOT_FOUND, Code.JOB_NOT_ENDED)},
)
def read_report(job_id: UUID, app: App, _: Viewer) -> ReportView:
    """Read what federation gave, per client and task, once the job has ended."""
    with app.sessions.begin() as session:
        return service.report(session, job_id)


@router.get(
    "/benefits",
    summary="Read who benefits",
    responses={
        **example(BENEFITS, "The verdict, and each client's tasks."),
        **problems(Code.NOT_FOUND),
    },
)
def read_benefits(
    job_id: UUID, app: App, _: Viewer, alone: Alone = None, averaged: Averaged = None
) -> BenefitsView:
    """Read what federation gave each client at each task, as far as models have been measured.

    It stands beside the newest jobs over the same clients and tasks by the algorithms `local` and
    `fedavg`, or beside those that `alone` and `averaged` name.
    """
    with app.sessions.begin() as session:
        job = get_job(session, job_id)
        return benefits_view(session, job, beside(session, job, alone, averaged))


@router.get(
    "/attendance",
    summary="List who was missing",
    responses={**example(ATTENDANCE, "Rounds of clients."), **problems(Code.NOT_FOUND)},
)
def list_attendance(
    job_id: UUID, app: App, _: Viewer, asked: Asked, cursor: Cursor = None, limit: Limit = 50
) -> AttendanceList:
    """List for each round who was asked, what came and who was missing; also while the job runs.

    Rounds of all phases come in pages, as they were opened.
    """
    order = sorted_by(asked.sort)
    with app.sessions.begin() as session:
        job = get_job(session, job_id)
        rows = client_rounds(session, job_id, asked.wanted, order.behind(cursor), limit + 1)
        page, following = order.cut(rows, limit)
        return AttendanceList(items=attendance(session, job, page), next=following)


@router.get(
    "/takeaway",
    summary="Read what a client takes away",
    responses={
        **example(TAKEAWAY, "The job as the client may see it."),
        **problems(Code.NOT_FOUND),
    },
)
def read_takeaway(job_id: UUID, app: App, principal: ClientOnly) -> TakeawayView:
    """Read what the calling client needs to take its model away: its own scores, and no other's."""
    with app.sessions.begin() as session:
        return takeaway(session, principal.client or "", job_id)
