"""A job's report as one HTML file that stands alone: style, scripts and data are in it."""

from datetime import datetime
from uuid import UUID

from markupsafe import Markup
from sqlalchemy.orm import Session

from server.job_tables import tables
from server.job_tables.asked import Wanted
from server.jobs.repository import get_job
from server.paging import Place
from server.reports.benefits import benefits_of, beside
from server.reports.service import report
from server.rounds.repository import database_now
from server.specs import spec_of
from server.tables import Job
from server.web.site import PLOTTING, asset, render

_TABLES = (tables.LOSSES, tables.REPLACEMENTS, tables.TRAFFIC)
_AT_ONCE = 5000


def report_page(
    session: Session, job_id: UUID, alone: UUID | None = None, averaged: UUID | None = None
) -> str:
    """The file. Raises ProblemError (404; 409 until the job has ended)."""
    told = report(session, job_id)
    job = get_job(session, job_id)
    others = beside(session, job, alone, averaged)
    return render(
        "report.html",
        {
            "report": told,
            "spec": spec_of(job),
            "beside": others,
            "found": benefits_of(session, job, others),
            "tables": {source.name: _rows(session, job, source) for source in _TABLES},
            "style": _inlined("page.css"),
            "scripts": [_inlined(PLOTTING), _inlined("charts.js"), _inlined("figures.js")],
            "now": database_now(session),
        },
    )


def _rows(session: Session, job: Job, source: tables.Source) -> list[dict[str, object]]:
    """All of a table."""
    found: list[dict[str, object]] = []
    place: Place | None = None
    while True:
        some = source.rows(session, job, Wanted(), place, _AT_ONCE)
        found += [{name: _plain(value) for name, value in row.items()} for row in some]
        if len(some) < _AT_ONCE:
            return found
        place = source.place(some[-1])


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def _inlined(name: str) -> Markup:
    """A file of ours as it stands; nothing in it may end the element that holds it."""
    found = asset(name)
    assert found is not None, name  # noqa: S101 - these are there
    text = found.content.decode("utf-8")
    return Markup(text.replace("</script", "<\\/script"))  # noqa: S704 - no reader's words are in it
