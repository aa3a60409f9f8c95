"""A job's scores beside those of jobs of its clients by themselves, and by FedAvg."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Text, cast, select
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Session

from server.jobs.repository import get_job
from server.reports.service import scores
from server.tables import Assignment, Job
from shared.benefits import Benefits, benefits
from shared.messages import AssignmentKind
from shared.reports import BenefitRow, BenefitsView, ReportRow
from shared.states import AssignmentState, JobState

ALONE, AVERAGED = "local", "fedavg"
_MOST = 20
_NAMES = ARRAY(Text)


@dataclass(frozen=True)
class Beside:
    """The jobs that one is compared with, where there are any, and among which they are chosen."""

    alone: Job | None
    averaged: Job | None
    choices: Mapping[str, Sequence[Job]]  # by algorithm


def candidates(session: Session, job: Job, algorithm: str) -> list[Job]:
    """Jobs that say what the clients have by that, newest first: of its tasks, over all of them."""
    if job.spec["algorithm"]["name"] == algorithm:
        return []
    query = (
        select(Job)
        .where(
            Job.state == JobState.SUCCEEDED,
            Job.spec["algorithm"]["name"].as_string() == algorithm,
            Job.id != job.id,
        )
        .order_by(Job.created_at.desc(), Job.id.desc())
    )
    for each in ("clients", "tasks"):
        query = query.where(cast(Job.spec[each], JSONB).has_all(cast([*job.spec[each]], _NAMES)))
    return list(session.scalars(query.limit(_MOST)))


def beside(session: Session, job: Job, alone: UUID | None, averaged: UUID | None) -> Beside:
    """The jobs asked for, else the newest that fit. Raises ProblemError (404)."""
    choices = {each: candidates(session, job, each) for each in (ALONE, AVERAGED)}

    def chosen(asked: UUID | None, algorithm: str) -> Job | None:
        if asked is not None:
            return get_job(session, asked)
        return next(iter(choices[algorithm]), None)

    return Beside(chosen(alone, ALONE), chosen(averaged, AVERAGED), choices)


def benefits_of(session: Session, job: Job, others: Beside | None = None) -> Benefits:
    """What federation gave, as far as models have been measured."""
    found = (others.alone, others.averaged) if others else (None, None)
    return benefits(_scores(session, job), *(_scores(session, each) for each in found))


def benefits_view(session: Session, job: Job, others: Beside) -> BenefitsView:
    """The same as the API says it."""
    found = benefits_of(session, job, others)
    rows = (
        BenefitRow(
            client=row.client,
            task=row.task,
            models=dict(row.models),
            last=row.last,
            alone=row.alone,
            averaged=row.averaged,
            gain=row.gain,
            difference=row.difference,
            verdict=row.verdict,
        )
        for row in found.rows
    )
    return BenefitsView(
        job_id=job.id,
        alone=others.alone and others.alone.id,
        averaged=others.averaged and others.averaged.id,
        sentence=found.sentence,
        rows=tuple(rows),
    )


def _scores(session: Session, job: Job | None) -> tuple[ReportRow, ...]:
    if job is None:
        return ()
    query = select(Assignment).where(
        Assignment.job_id == job.id,
        Assignment.kind == AssignmentKind.EVALUATE,
        Assignment.state == AssignmentState.ACCEPTED,
    )
    return scores(list(session.scalars(query.order_by(Assignment.client_id))))
