"""Routes of operators about versions and their lineage."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query

from server.auth import Viewer
from server.context import App
from server.documentation import example, problems
from server.errors import not_found
from server.examples import VERSION, VERSIONS
from server.jobs.repository import get_job
from server.paging import SORT, Cursor, Limit
from server.versions import repository
from server.versions.views import version_view
from shared.problem_codes import Code
from shared.views import NumberOrder, VersionList, VersionSummary, VersionView

router = APIRouter(prefix="/v1/jobs/{job_id}/versions", tags=["versions"])

Number = Annotated[int, Path(ge=0, le=2**31 - 1, description="Counted from 0.", examples=[1])]


@router.get(
    "",
    summary="List a job's versions",
    responses={**example(VERSIONS, "Versions."), **problems(Code.NOT_FOUND)},
)
def list_versions(
    job_id: UUID,
    app: App,
    _: Viewer,
    after_version: Annotated[
        int | None, Query(ge=0, le=2**31 - 1, description="Versions after this one only.")
    ] = None,
    sort: Annotated[NumberOrder, Query(description=SORT)] = "number",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> VersionList:
    """List versions of the job in pages, with their sizes and how much changed."""
    order = repository.sorted_by(sort)
    with app.sessions.begin() as session:
        get_job(session, job_id)
        behind = order.behind(cursor)
        rows = repository.summaries(session, job_id, behind, limit + 1, after_version)
    page, following = order.cut(rows, limit)
    return VersionList(
        next=following,
        items=tuple(
            VersionSummary(
                number=row.number,
                round=row.number,
                created_at=row.created_at,
                n_components=row.n_components,
                n_changed=row.n_changed,
                n_bytes=row.n_bytes,
            )
            for row in page
        ),
    )


@router.get(
    "/{number}",
    summary="Show a version",
    responses={**example(VERSION, "The version with its manifest."), **problems(Code.NOT_FOUND)},
)
def show_version(job_id: UUID, number: Number, app: App, _: Viewer) -> VersionView:
    """Show a version: each component's artifact, when it was made, and by whom."""
    with app.sessions.begin() as session:
        get_job(session, job_id)
        version = repository.get_version(session, job_id, number)
        if version is None:
            raise not_found("version")
        return version_view(session, version)
