"""A table's rows as a page of JSON, or all of them as CSV.

CSV is made page by page while it is sent, each page by a statement of its own: no connection to
Postgres is held for a slow reader, and no table is ever whole in memory. So it has no ETag, which
would have to be known before the first line.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from fastapi.responses import StreamingResponse

from server.context import Context
from server.documentation import Responses, example, problems
from server.examples.ids import Example
from server.job_tables import csv_text
from server.job_tables.asked import CSV, MOST_ROWS, Form, Wanted
from server.job_tables.tables import Row, Source
from server.jobs.repository import get_job
from server.paging import Place, cut, place_of
from shared.job_tables import Table
from shared.problem_codes import Code

_AT_ONCE = MOST_ROWS  # of CSV in memory


def answer(
    context: Context, job_id: UUID, source: Source, form: Form, wanted: Wanted
) -> Table | StreamingResponse:
    """The table in the form that was asked for. Raises ProblemError (404, 422)."""
    order = f"{source.name} {wanted.sort}"
    behind = place_of(form.cursor, order, *source.order.values())
    rows = partial(_rows, context, job_id, source, wanted)
    if form.is_csv:
        first = rows(behind, _AT_ONCE)
        return _csv(job_id, source, form.kept(source.columns), first, rows)
    page, following = cut(rows(behind, form.limit + 1), form.limit, order, source.place)
    items = [{name: row[name] for name in source.columns} for row in page]
    return source.page.model_validate({"items": items, "next": following})


def _rows(
    context: Context, job_id: UUID, source: Source, wanted: Wanted, behind: Place | None, most: int
) -> Sequence[Row]:
    with context.sessions.begin() as session:
        return source.rows(session, get_job(session, job_id), wanted, behind, most)


def _csv(
    job_id: UUID, source: Source, columns: Sequence[str], first: Sequence[Row], rows: Any
) -> StreamingResponse:
    """The first rows are here already, so that a problem is answered as one."""

    def lines() -> Iterator[str]:
        page = first
        yield csv_text.header(columns) + csv_text.lines(columns, page)
        while len(page) == _AT_ONCE:
            page = rows(source.place(page[-1]), _AT_ONCE)
            yield csv_text.lines(columns, page)

    name = f"{source.name}-{job_id}.csv"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "private, no-cache",
        "Vary": "Accept",
    }
    return StreamingResponse(lines(), media_type=CSV, headers=headers)


def documented(source: Source, rows: Example) -> Responses:
    """A table's answers: JSON, and CSV of the same rows."""
    found: dict[str, Any] = example(rows, "Rows, as JSON in pages or as CSV.")[200]
    said = csv_text.header(source.columns) + csv_text.lines(source.columns, rows["items"])
    as_csv = {"schema": {"type": "string"}, "example": said}
    content = {**found["content"], CSV: as_csv}
    return {200: {**found, "content": content}, **problems(Code.NOT_FOUND)}
