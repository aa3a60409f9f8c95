"""A job's scores beside those of one in which each of its clients trained alone."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.jobs.repository import get_job
from server.reports.service import scores
from server.tables import Assignment, Job
from shared.benefits import Benefits, benefits
from shared.messages import AssignmentKind
from shared.reports import ReportRow
from shared.states import AssignmentState, JobState

_ALONE = "local"
_MOST = 20


def candidates(session: Session, job: Job) -> list[Job]:
    """Jobs that say how the clients do alone, newest first: of the same tasks, over all of them."""
    if job.spec["algorithm"]["name"] == _ALONE:
        return []
    query = (
        select(Job)
        .where(
            Job.state == JobState.SUCCEEDED,
            Job.spec["algorithm"]["name"].as_string() == _ALONE,
            Job.id != job.id,
        )
        .order_by(Job.created_at.desc(), Job.id.desc())
        .limit(_MOST)
    )
    clients, tasks = set(job.spec["clients"]), set(job.spec["tasks"])
    return [
        other
        for other in session.scalars(query)
        if clients <= set(other.spec["clients"]) and tasks <= set(other.spec["tasks"])
    ]


def benefits_of(session: Session, job: Job, alone: UUID | None) -> Benefits:
    """What federation gave, as far as models have been measured. Raises ProblemError (404)."""
    other = [] if alone is None else _scores(session, get_job(session, alone))
    return benefits(_scores(session, job), other)


def _scores(session: Session, job: Job) -> tuple[ReportRow, ...]:
    query = select(Assignment).where(
        Assignment.job_id == job.id,
        Assignment.kind == AssignmentKind.EVALUATE,
        Assignment.state == AssignmentState.ACCEPTED,
    )
    return scores(list(session.scalars(query.order_by(Assignment.client_id))))
