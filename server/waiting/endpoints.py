"""The route that says why a job waits."""

from uuid import UUID

from fastapi import APIRouter

from server.auth import Viewer
from server.context import App
from server.documentation import example, problems
from server.examples import WAITING
from server.jobs.repository import get_job
from server.waiting.query import listed
from shared.problem_codes import Code
from shared.waiting import WaitingList

router = APIRouter(prefix="/v1/jobs/{job_id}/waiting", tags=["jobs"])


@router.get(
    "",
    summary="Show why a job waits",
    responses={
        **example(WAITING, "The job, its round, its assignments."),
        **problems(Code.NOT_FOUND),
    },
)
def show_waiting(job_id: UUID, app: App, _: Viewer) -> WaitingList:
    """List why the job, its live round and each open assignment wait, for whom and until when."""
    with app.sessions.begin() as session:
        return listed(app, session, get_job(session, job_id))
