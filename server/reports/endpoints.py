"""The route of a job's report."""

from uuid import UUID

from fastapi import APIRouter

from server.auth import Viewer
from server.context import App
from server.documentation import example, problems
from server.examples import REPORT
from server.reports import service
from shared.views import ReportView

router = APIRouter(prefix="/v1/jobs/{job_id}/report", tags=["reports"])


@router.get(
    "",
    summary="Read a job's report",
    responses={**example(REPORT, "The report."), **problems(404, 409)},
)
def read_report(job_id: UUID, app: App, _: Viewer) -> ReportView:
    """Read what federation gave, per client and task, once the job has ended."""
    with app.sessions.begin() as session:
        return service.report(session, job_id)
