"""The components of a job's newest version: how large, how often changed, by whom, for whom."""

from collections import defaultdict
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server.aggregation import client_components
from server.clients.adapting import lasting_offer
from server.job_tables.asked import Wanted
from server.paging import Place
from server.specs import spec_of
from server.tables import Job, JobClient, VersionComponent
from server.versions.repository import Entry, contributions, entries, newest_version


def component_rows(
    session: Session, job: Job, wanted: Wanted, behind: Place | None, limit: int
) -> list[dict[str, Any]]:
    """So many components behind the place, by name, of those that a client uses if one is named."""
    newest = newest_version(session, job.id)
    if newest is None:
        return []
    changes, clients = _changes(session, job), _clients(session, job)
    found = [
        entry
        for entry in entries(session, job.id, newest)
        if (wanted.client is None or wanted.client in clients.get(entry.component, ()))
        and (behind is None or _is_past(entry, behind, falls=wanted.falls))
    ]
    page = sorted(found, key=lambda entry: entry.component, reverse=wanted.falls)[:limit]
    makers = _makers(session, job, {entry.made_in for entry in page})
    return [
        {
            "component": entry.component,
            "n_bytes": entry.n_bytes,
            "n_changes": changes.get(entry.component, 0),
            "last_changed": entry.made_in,
            "last_contributors": makers.get((entry.made_in, entry.component), []),
            "clients": clients.get(entry.component, []),
        }
        for entry in page
    ]


def _is_past(entry: Entry, place: Place, *, falls: bool) -> bool:
    its = (entry.component,)
    return its < place if falls else its > place


def _changes(session: Session, job: Job) -> dict[str, int]:
    """In how many versions of this job each component was made, its first version left out."""
    first = job.forked_round or 0
    query = (
        select(VersionComponent.component, func.count().label("n"))
        .where(
            VersionComponent.job_id == job.id,
            VersionComponent.version > first,
            VersionComponent.made_in == VersionComponent.version,
        )
        .group_by(VersionComponent.component)
    )
    return {row.component: row.n for row in session.execute(query)}


def _makers(session: Session, job: Job, versions: set[int]) -> dict[tuple[int, str], list[str]]:
    """Whose average each component of these versions is; for a fork, also of its parents'."""
    found: defaultdict[tuple[int, str], list[str]] = defaultdict(list)
    for made_in, row in contributions(session, job.id, versions):
        found[made_in, row.component].append(row.client_id)
    return found


def _clients(session: Session, job: Job) -> dict[str, list[str]]:
    """The job's clients that use each component with what they still offer."""
    spec = spec_of(job)
    query = select(JobClient).where(JobClient.job_id == job.id).order_by(JobClient.client_id)
    found: defaultdict[str, list[str]] = defaultdict(list)
    for row in session.scalars(query):
        for component in client_components(spec, lasting_offer(row)):
            found[str(component)].append(row.client_id)
    return found
