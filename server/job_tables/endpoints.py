"""Routes of a job's results as flat tables, as JSON or CSV, while it runs and afterwards."""

from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from server.auth import Viewer
from server.context import App
from server.examples.tables import (
    COMPONENT_TABLE,
    CONTRIBUTION_TABLE,
    DECISION_TABLE,
    LOSS_TABLE,
    SCORE_TABLE,
    TRAFFIC_TABLE,
)
from server.job_tables import tables
from server.job_tables.answers import answer, documented
from server.job_tables.asked import Form, Later, OfComponents, OfRounds, OfTasks, OfVersions
from shared.job_tables import (
    ComponentTable,
    ContributionTable,
    DecisionTable,
    LossTable,
    ScoreTable,
    Table,
    TrafficTable,
)

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["tables"])

_Answer = Table | StreamingResponse


@router.get(
    "/losses",
    summary="List a job's training losses",
    response_model=LossTable,
    responses=documented(tables.LOSSES, LOSS_TABLE),
)
def list_losses(job_id: UUID, app: App, _: Viewer, form: Form, wanted: OfRounds) -> _Answer:
    """List what each client's training of each task came to, round by round, so far."""
    return answer(app, job_id, tables.LOSSES, form, wanted)


@router.get(
    "/replacements",
    summary="List a job's replacements",
    response_model=DecisionTable,
    responses=documented(tables.REPLACEMENTS, DECISION_TABLE),
)
def list_replacements(job_id: UUID, app: App, _: Viewer, form: Form, wanted: OfRounds) -> _Answer:
    """List what stage one decided for each client and task, round by round, so far."""
    return answer(app, job_id, tables.REPLACEMENTS, form, wanted)


@router.get(
    "/contributions",
    summary="List who contributed to a job's versions",
    response_model=ContributionTable,
    responses=documented(tables.CONTRIBUTIONS, CONTRIBUTION_TABLE),
)
def list_contributions(
    job_id: UUID, app: App, _: Viewer, form: Form, wanted: OfVersions
) -> _Answer:
    """List the shares that were averaged; a component that a version lacks was carried over."""
    return answer(app, job_id, tables.CONTRIBUTIONS, form, wanted)


@router.get(
    "/components",
    summary="List a job's components",
    response_model=ComponentTable,
    responses=documented(tables.COMPONENTS, COMPONENT_TABLE),
)
def list_components(job_id: UUID, app: App, _: Viewer, form: Form, wanted: OfComponents) -> _Answer:
    """List the newest version's components: how large, how often changed, by whom, for whom."""
    return answer(app, job_id, tables.COMPONENTS, form, wanted)


@router.get(
    "/traffic",
    summary="List what a job's rounds moved",
    response_model=TrafficTable,
    responses=documented(tables.TRAFFIC, TRAFFIC_TABLE),
)
def list_traffic(job_id: UUID, app: App, _: Viewer, form: Form, wanted: Later) -> _Answer:
    """List for each round of clients, in each phase, what travelled and how long it was open."""
    return answer(app, job_id, tables.TRAFFIC, form, wanted)


@router.get(
    "/scores",
    summary="List a job's scores",
    response_model=ScoreTable,
    responses=documented(tables.SCORES, SCORE_TABLE),
)
def list_scores(job_id: UUID, app: App, _: Viewer, form: Form, wanted: OfTasks) -> _Answer:
    """List what evaluations measured, as soon as they are accepted: a row for each metric."""
    return answer(app, job_id, tables.SCORES, form, wanted)
