"""The routes of a job's report, of who came to its rounds, and of what a client takes away."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from server.auth import ClientOnly, Viewer
from server.context import App
from server.documentation import example, problems
from server.examples import ATTENDANCE, BENEFITS, REPORT, TAKEAWAY
from server.jobs.repository import get_job
from server.reports import service
from server.reports.attendance import attendance
from server.reports.benefits import benefits_view, beside
from server.reports.takeaway import takeaway
from shared.attendance import AttendanceList
from shared.problem_codes import Code
from shared.reports import BenefitsView, ReportView
from shared.takeaway import TakeawayView

Alone = Annotated[UUID | None, Query(description="The job in which each client trained alone.")]
Averaged = Annotated[UUID | None, Query(description="The job by FedAvg.")]

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
    responses={**example(ATTENDANCE, "Rounds, oldest first."), **problems(Code.NOT_FOUND)},
)
def list_attendance(job_id: UUID, app: App, _: Viewer) -> AttendanceList:
    """List for each round who was asked, what came and who was missing; also while the job runs."""
    with app.sessions.begin() as session:
        return AttendanceList(items=attendance(session, get_job(session, job_id)))


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
