"""The pages' routes. What moves is in elements with `data-live`, which the page's script renews."""

from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import Response
from sqlalchemy.orm import Session

from server.auth import OPEN, Viewer
from server.clients.service import get_client, listed_clients
from server.clients.service import sorted_by as clients_by
from server.context import App
from server.errors import not_found
from server.events.repository import Wanted, last_of_all, listed
from server.events.repository import sorted_by as events_by
from server.jobs import repository, service
from server.jobs.filtering import Filter
from server.paging import Cursor
from server.reports import benefits
from server.rounds.repository import database_now
from server.shelf.views import rows as shelf_rows
from server.tables import Job
from server.versions.repository import get_version, newest_version, summaries
from server.versions.repository import sorted_by as versions_by
from server.versions.views import version_view
from server.waiting.query import waiting_of, waits
from server.web.now import newest_round
from server.web.reference import reference
from server.web.report import report_page
from server.web.site import asset, html, page
from shared.spec import Name
from shared.states import JOB_TERMINAL, JobState

router = APIRouter(include_in_schema=False)
_A_PAGE = 50
_MOST_COMPARED = 6
_NEWEST_EVENTS, _EVENTS = 40, 200
_NEWEST_FIRST = events_by("-id")
_OLDEST_VERSION_FIRST = versions_by("number")
_FOREVER = "public, max-age=31536000, immutable"
Chosen = Annotated[Sequence[UUID], Query()]


@router.get("/static/{name}", dependencies=[OPEN])
def static(
    name: str, accept_encoding: Annotated[str, Header()] = "", v: str | None = None
) -> Response:
    """A file that pages load."""
    found = asset(name)
    if found is None or v not in {None, found.digest}:
        raise not_found("file")
    packed = "gzip" in accept_encoding
    headers = {"Cache-Control": _FOREVER if v else "no-cache", "Vary": "Accept-Encoding"}
    headers |= {"X-Content-Type-Options": "nosniff"} | (
        {"Content-Encoding": "gzip"} if packed else {}
    )
    content = found.compressed if packed else found.content
    return Response(content, media_type=found.media_type, headers=headers)


@router.get("/docs", dependencies=[OPEN])
def show_reference(request: Request) -> Response:
    """The API's reference, which is made once: it says nothing of anybody's data."""
    state = request.app.state
    if not hasattr(state, "reference"):
        state.reference = reference(request.app.openapi())
    return html(state.reference)


@router.get("/")
def show_jobs(
    app: App, _: Viewer, wanted: Filter, cursor: Cursor = None, job: Chosen = ()
) -> Response:
    """Jobs, newest first; those of `job` are chosen already, and shown wherever they stand."""
    with app.sessions.begin() as session:
        known = last_of_all(session)
        chosen = [repository.get_job(session, each) for each in _some(job)]
        rows = repository.jobs(session, wanted.behind(cursor), _A_PAGE + 1)
        shown, following = wanted.cut(rows, _A_PAGE)
        why = waits(app, session, shown)
        jobs = [service.job_view(row, waiting_of(why, row.id)) for row in shown]
        return page(
            "jobs.html",
            {
                "jobs": jobs,
                "older": following and _older(wanted, chosen, following),
                "chosen": {row.id: row.name for row in chosen},
                "wanted": wanted,
                "states": list(JobState),
                "events": f"/v1/events?after={known}",
                "now": database_now(session),
            },
        )


def _some(jobs: Sequence[UUID]) -> list[UUID]:
    """As many as are compared, each once."""
    return list(dict.fromkeys(jobs))[:_MOST_COMPARED]


def _older(wanted: Filter, chosen: Sequence[Job], cursor: str) -> str:
    """The address of the next page of the same list."""
    asked = [("name", wanted.name), ("client", wanted.client), ("sort", wanted.sort)]
    several = [("state", each) for each in wanted.state] + [("job", str(row.id)) for row in chosen]
    return "/?" + urlencode([*((k, v) for k, v in asked if v), *several, ("cursor", cursor)])


@router.get("/jobs/{job_id}")
def show_job(job_id: UUID, app: App, _: Viewer) -> Response:
    """One job as it stands."""
    with app.sessions.begin() as session:
        seen = repository.see_job(session, job_id)
        job = service.shown(app, session, seen)
        ended = job.state in JOB_TERMINAL
        return page(
            "job.html",
            {
                "job": job,
                "ended": ended,
                "round": newest_round(app, session, seen.job),
                "version": newest_version(session, job_id),
                "on_shelf": shelf_rows(session, seen.job),
                "recent": listed(session, Wanted(job_id), _NEWEST_EVENTS, _NEWEST_FIRST.behind()),
                "events": None if ended else f"/v1/jobs/{job_id}/events?after={seen.last_event}",
                "now": seen.now,
            },
        )


@router.get("/jobs/{job_id}/events")
def show_events(job_id: UUID, app: App, _: Viewer, cursor: Cursor = None) -> Response:
    """What happened to the job, newest first."""
    with app.sessions.begin() as session:
        row = repository.get_job(session, job_id)
        rows = listed(session, Wanted(job_id), _EVENTS + 1, _NEWEST_FIRST.behind(cursor))
        shown, following = _NEWEST_FIRST.cut(rows, _EVENTS)
        return page(
            "events.html",
            {
                "job": service.job_view(row),
                "happened": shown,
                "next": following,
                "cursor": cursor,
                "now": database_now(session),
            },
        )


@router.get("/jobs/{job_id}/benefits")
def show_benefits(
    job_id: UUID, app: App, _: Viewer, alone: UUID | None = None, averaged: UUID | None = None
) -> Response:
    """Who benefits, beside a job in which each client trained alone, and one by FedAvg."""
    with app.sessions.begin() as session:
        row = repository.get_job(session, job_id)
        chosen = benefits.beside(session, row, alone, averaged)
        choices = (  # field of the form, what is said, the job, among which
            ("alone", "Beside, each client alone", chosen.alone, benefits.ALONE),
            ("averaged", "and by FedAvg", chosen.averaged, benefits.AVERAGED),
        )
        return page(
            "benefits.html",
            {
                "job": service.job_view(row),
                "choices": [
                    (name, said, job and job.id, chosen.choices[algorithm])
                    for name, said, job, algorithm in choices
                ],
                "found": benefits.benefits_of(session, row, chosen),
                "now": database_now(session),
            },
        )


@router.get("/jobs/{job_id}/report.html")
def download_report(
    job_id: UUID, app: App, _: Viewer, alone: UUID | None = None, averaged: UUID | None = None
) -> Response:
    """The report as one file, to be kept: it stands alone."""
    with app.sessions.begin() as session:
        text = report_page(session, job_id, alone, averaged)
    headers = {"Content-Disposition": f'attachment; filename="report-{job_id}.html"'}
    return Response(text, media_type="text/html", headers=headers)


@router.get("/jobs/{job_id}/versions")
def show_versions(job_id: UUID, app: App, _: Viewer, cursor: Cursor = None) -> Response:
    """Versions, oldest first."""
    with app.sessions.begin() as session:
        row = repository.get_job(session, job_id)
        rows = summaries(session, job_id, _OLDEST_VERSION_FIRST.behind(cursor), _A_PAGE + 1)
        shown, following = _OLDEST_VERSION_FIRST.cut(rows, _A_PAGE)
        return page(
            "versions.html",
            {
                "job": service.job_view(row),
                "versions": shown,
                "next": following,
                "now": database_now(session),
            },
        )


@router.get("/jobs/{job_id}/versions/{number}")
def show_version(
    job_id: UUID, number: Annotated[int, Path(ge=0, le=2**31 - 1)], app: App, _: Viewer
) -> Response:
    """The component ledger of a version: who made what of it, and what was carried over."""
    with app.sessions.begin() as session:
        found = _ledger(session, job_id, number)
        if found["version"] is None:
            raise not_found("version")
        return page("version.html", found)


@router.get("/jobs/{job_id}/ledger")
def show_ledger(job_id: UUID, app: App, _: Viewer) -> Response:
    """The component ledger of the newest version, if there is one yet."""
    with app.sessions.begin() as session:
        return page("version.html", _ledger(session, job_id))


def _ledger(session: Session, job_id: UUID, number: int | None = None) -> dict[str, object]:
    job, newest = repository.get_job(session, job_id), newest_version(session, job_id)
    wanted = newest if number is None else number
    found = None if wanted is None else get_version(session, job_id, wanted)
    return {
        "job": service.job_view(job),
        "version": found and version_view(session, found),
        "newest": newest,
        "now": database_now(session),
    }


@router.get("/compare")
def compare(app: App, _: Viewer, job: Chosen = ()) -> Response:
    """What the models of some jobs score, side by side."""
    with app.sessions.begin() as session:
        rows = [repository.get_job(session, each) for each in _some(job)]
        return page(
            "compare.html",
            {
                "n_chosen": len(set(job)),
                "compared": [(service.job_view(row), _scored(session, row)) for row in rows],
                "now": database_now(session),
            },
        )


def _scored(session: Session, job: Job) -> dict[tuple[str, str], object]:
    found = benefits.benefits_of(session, job)
    return {(row.client, row.task): row for row in found.rows}


@router.get("/clients")
def show_clients(app: App, _: Viewer, cursor: Cursor = None) -> Response:
    """Clients by their ids: whether they are there, and what their data are like."""
    order = clients_by("id")
    with app.sessions.begin() as session:
        known = last_of_all(session)
        rows = listed_clients(session, order.behind(cursor), _A_PAGE + 1)
        shown, following = order.cut(rows, _A_PAGE)
        values = {"clients": shown, "next": following, "events": f"/v1/events?after={known}"}
        return page("clients.html", {**values, "now": database_now(session)})


@router.get("/clients/{client}")
def show_client(client: Name, app: App, _: Viewer) -> Response:
    """One client: its offer, and its readiness card if it publishes one."""
    with app.sessions.begin() as session:
        events = f"/v1/events?after={last_of_all(session)}"
        values = {"client": get_client(session, client), "events": events}
        return page("client.html", {**values, "now": database_now(session)})
